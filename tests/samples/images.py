"""Pictures made by Pillow, one for each source format: 96 x 64, a red corner at the top left."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageCms, ImageDraw

WIDTH, HEIGHT = 96, 64
FRAMES = {"gif": 3, "webp": 3, "tiff": 3}
"""Formats whose sample has several frames."""
DELAYS = [40, 80, 120]
"""Of an animation's frames, milliseconds."""
SOURCES = (
    *("jpg", "png", "webp", "gif", "avif", "tiff", "heic", "jxl", "jp2", "bmp"),
    *("ico", "icns", "tga", "ppm", "pcx", "qoi", "dds", "psd"),
)


def picture(frame: int = 0, mode: str = "RGB") -> Image.Image:
    """A gradient with a pure red top left quarter, and a white bar that moves with `frame`."""
    image = Image.merge(
        "RGB",
        (
            Image.linear_gradient("L").resize((WIDTH, HEIGHT)),
            Image.linear_gradient("L").rotate(90).resize((WIDTH, HEIGHT)),
            Image.new("L", (WIDTH, HEIGHT), 40),
        ),
    )
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, WIDTH // 2 - 1, HEIGHT // 2 - 1), fill=(255, 0, 0))
    draw.rectangle((60 + 8 * frame, 40, 64 + 8 * frame, 60), fill="white")
    return image.convert(mode)


def transparent() -> Image.Image:
    """The same with a see-through bottom right quarter."""
    image = picture(mode="RGBA")
    image.paste((0, 0, 0, 0), (WIDTH // 2, HEIGHT // 2, WIDTH, HEIGHT))
    return image


def profile() -> bytes:
    """An ICC profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def make(format: str, path: Path) -> Path:
    """Write the sample of `format` to `path`."""
    moving = {
        "save_all": True,
        "append_images": [picture(frame) for frame in (1, 2)],
        "duration": DELAYS,
        "loop": 0,
    }
    match format:
        case "gif" | "webp":
            picture().save(path, format, **moving)
        case "tiff":
            picture().save(path, format, save_all=True, append_images=moving["append_images"])
        case "psd":
            path.write_bytes(_psd(picture()))
        case "heic":
            import pillow_heif

            pillow_heif.register_heif_opener()
            picture().save(path, "HEIF", quality=90)
        case "jxl":
            import pillow_jxl  # noqa: F401

            picture().save(path, "JXL")
        case "ico":
            picture().resize((64, 64)).save(path, "ICO", sizes=[(16, 16), (64, 64)])
        case "icns":
            picture().resize((128, 128)).save(path, "ICNS")
        case "jpg":
            picture().save(path, "JPEG", quality=95)
        case "jp2":
            picture().save(path, "JPEG2000")
        case "dds" | "qoi":
            picture(mode="RGBA").save(path, format.upper())
        case _:
            picture().save(path, format.upper())
    return path


def _psd(image: Image.Image) -> bytes:
    """The smallest Photoshop file: a header, empty sections, raw planes (Adobe's
    Photoshop File Format Specification, 2019)."""
    header = b"8BPS\x00\x01" + bytes(6) + (3).to_bytes(2, "big")
    header += image.height.to_bytes(4, "big") + image.width.to_bytes(4, "big")
    header += (8).to_bytes(2, "big") + (3).to_bytes(2, "big")
    planes = b"".join(band.tobytes() for band in image.convert("RGB").split())
    return header + bytes(4) + bytes(4) + bytes(4) + b"\x00\x00" + planes
