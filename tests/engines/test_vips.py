"""libvips' results, opened with Pillow."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageOps, ImageSequence

from engines import bare
from filemill.engines.vips import ENGINE
from filemill.errors import FileInvalid, LimitExceeded
from samples import images

PAIRS = [(route.source, route.target) for route in ENGINE.routes]
RED = (255, 0, 0)


def convert(path: Path, source: str, target: str, room: Path, **options: object) -> Image.Image:
    result = Image.open(bare.convert(ENGINE, path, source, target, room, **options))
    expected = {"jpg": "JPEG"}.get(target, target.upper())
    assert result.format == expected
    return result


def near(colour: object, expected: tuple[int, ...], by: int = 12) -> bool:
    assert isinstance(colour, tuple)
    return len(colour) == len(expected) and all(
        abs(a - b) <= by for a, b in zip(colour, expected, strict=True)
    )


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_route(source: str, target: str, tmp_path: Path) -> None:
    image = convert(images.make(source, tmp_path / "sample"), source, target, tmp_path)
    assert image.size == (images.WIDTH, images.HEIGHT)
    moving = source in {"gif", "webp"} and target in {"gif", "webp"}
    assert getattr(image, "n_frames", 1) == (3 if moving else 1)
    pixel = image.convert("RGB").getpixel((10, 10))
    assert near(pixel, RED), pixel
    expected = images.picture().getpixel((90, 5))
    assert isinstance(expected, tuple)
    assert near(image.convert("RGB").getpixel((90, 5)), expected, 24)


@pytest.mark.parametrize(("source", "target"), [("gif", "webp"), ("webp", "gif"), ("gif", "gif")])
def test_animation_keeps_its_delays(source: str, target: str, tmp_path: Path) -> None:
    sample = images.make(source, tmp_path / "sample")
    image = convert(sample, source, target, tmp_path, width=48)
    assert image.size == (48, 32)
    delays = []
    for frame in ImageSequence.Iterator(image):
        frame.load()
        delays.append(frame.info["duration"])
    assert delays == images.DELAYS
    assert image.info["loop"] == 0


def test_a_padded_animation_pads_each_frame(tmp_path: Path) -> None:
    sample = images.make("gif", tmp_path / "sample")
    image = convert(
        sample, "gif", "webp", tmp_path, width=96, height=96, fit="pad", background="#00ff00"
    )
    assert image.size == (96, 96)
    frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(image)]
    assert len(frames) == 3
    assert all(near(frame.getpixel((48, 4)), (0, 255, 0), 24) for frame in frames)
    assert all(near(frame.getpixel((10, 26)), RED, 24) for frame in frames)


@pytest.mark.parametrize("target", ["png", "webp", "avif", "tiff"])
def test_transparency_is_kept(target: str, tmp_path: Path) -> None:
    images.transparent().save(tmp_path / "a.png")
    image = convert(tmp_path / "a.png", "png", target, tmp_path)
    assert image.convert("RGBA").getpixel((80, 50))[3] == 0


@pytest.mark.parametrize(
    ("background", "colour"), [(None, (255, 255, 255)), ("#0000ff", (0, 0, 255))]
)
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_becomes_the_background(
    mode: str, background: str | None, colour: tuple[int, ...], tmp_path: Path
) -> None:
    images.transparent().convert(mode).save(tmp_path / "a.png")
    options = {"background": background} if background else {}
    image = convert(tmp_path / "a.png", "png", "jpg", tmp_path, **options)
    if mode == "LA":
        level = round(0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2])
        colour = (level, level, level)
    assert near(image.convert("RGB").getpixel((85, 55)), colour)


@pytest.mark.parametrize("target", ["jpg", "png", "webp", "avif", "tiff", "gif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(orientation: int, target: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "filemill"
    images.picture().save(tmp_path / "a.jpg", quality=95, exif=exif)
    image = convert(tmp_path / "a.jpg", "jpg", target, tmp_path)
    with Image.open(tmp_path / "a.jpg") as original:
        upright = ImageOps.exif_transpose(original).convert("RGB")
    assert image.size == upright.size
    assert image.getexif().get(0x0112, 1) == 1
    result = image.convert("RGB")
    for x, y in ((8, 8), (8, upright.height - 9), (upright.width - 9, 8)):
        expected = upright.getpixel((x, y))
        assert isinstance(expected, tuple)
        assert near(result.getpixel((x, y)), expected, 40), (x, y)


@pytest.mark.parametrize("target", ["jpg", "png", "webp", "avif", "tiff"])
@pytest.mark.parametrize("strip", [False, True])
def test_metadata_is_kept_or_dropped(target: str, strip: bool, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "filemill"
    images.picture().save(tmp_path / "a.jpg", icc_profile=images.profile(), exif=exif)
    image = convert(tmp_path / "a.jpg", "jpg", target, tmp_path, strip=strip)
    assert bool(image.info.get("icc_profile")) is not strip
    if target != "tiff":  # declared as lost
        assert (image.getexif().get(0x010F) == "filemill") is not strip


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"width": 48}, (48, 32)),
        ({"height": 128}, (192, 128)),
        ({"width": 40, "height": 40}, (40, 27)),
        ({"width": 200, "height": 200, "fit": "down"}, (96, 64)),
        ({"width": 40, "height": 40, "fit": "cover"}, (40, 40)),
        ({"width": 40, "height": 40, "fit": "fill"}, (40, 40)),
        ({"width": 40, "height": 40, "fit": "pad"}, (40, 40)),
        ({"width": 5, "height": 1, "fit": "cover"}, (5, 1)),
    ],
)
@pytest.mark.parametrize("source", ["jpg", "png"])
def test_sizes(
    source: str, options: dict[str, object], size: tuple[int, int], tmp_path: Path
) -> None:
    sample = images.make(source, tmp_path / "sample")
    assert convert(sample, source, "png", tmp_path, **options).size == size


def test_a_large_jpeg_shrinks_to_what_was_asked(tmp_path: Path) -> None:
    """The decoder's own shrinking may round: the size asked for is met all the same."""
    images.picture().resize((3001, 2003)).save(tmp_path / "a.jpg")
    assert convert(tmp_path / "a.jpg", "jpg", "jpg", tmp_path, width=301).size == (301, 201)


def test_padding_is_transparent_where_it_can_be(tmp_path: Path) -> None:
    sample = images.make("jpg", tmp_path / "sample")
    image = convert(sample, "jpg", "png", tmp_path, width=96, height=96, fit="pad")
    assert image.getpixel((48, 2)) == (0, 0, 0, 0)
    image = convert(sample, "jpg", "jpg", tmp_path, width=96, height=96, fit="pad")
    assert near(image.getpixel((48, 2)), (255, 255, 255))


@pytest.mark.parametrize("target", ["webp", "avif"])
def test_lossless_keeps_every_pixel(target: str, tmp_path: Path) -> None:
    sample = images.make("png", tmp_path / "sample")
    image = convert(sample, "png", target, tmp_path, lossless=True)
    assert image.convert("RGB").tobytes() == images.picture().tobytes()


def test_quality_and_effort_change_the_size(tmp_path: Path) -> None:
    Image.effect_noise((256, 256), 80).convert("RGB").save(tmp_path / "a.png")
    size = {}
    for quality in (10, 95):
        result = bare.convert(ENGINE, tmp_path / "a.png", "png", "jpg", tmp_path, quality=quality)
        size[quality] = result.stat().st_size
    assert size[10] * 2 < size[95]
    sizes = []
    images.picture().resize((960, 640)).save(tmp_path / "b.png")
    for effort in ("fast", "balanced", "smaller"):
        result = bare.convert(ENGINE, tmp_path / "b.png", "png", "png", tmp_path, effort=effort)
        sizes.append(result.stat().st_size)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1]


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    images.picture(mode="CMYK").save(tmp_path / "a.jpg", quality=95)
    image = convert(tmp_path / "a.jpg", "jpg", "png", tmp_path)
    assert image.mode == "RGB"
    red, green, blue = image.getpixel((10, 10))
    assert red > 200
    assert max(green, blue) < 90


def test_sixteen_bits_become_eight_where_they_must(tmp_path: Path) -> None:
    Image.new("I;16", (32, 32), 65535).save(tmp_path / "a.png")
    assert convert(tmp_path / "a.png", "png", "tiff", tmp_path).getpixel((5, 5)) == 65535
    image = convert(tmp_path / "a.png", "png", "jpg", tmp_path)
    assert image.convert("RGB").getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize("source", ["jpg", "png", "webp", "gif", "avif", "tiff"])
@pytest.mark.parametrize("damage", ["empty", "cut", "noise", "mislabelled"])
def test_broken_files_are_refused(source: str, damage: str, tmp_path: Path) -> None:
    whole = images.make(source, tmp_path / "sample").read_bytes()
    other = images.make("bmp", tmp_path / "other").read_bytes()
    broken = tmp_path / "broken"
    broken.write_bytes(
        {
            "empty": b"",
            "cut": whole[: len(whole) * 2 // 3],
            "noise": bytes(range(256)) * 16,
            "mislabelled": other,
        }[damage]
    )
    target = "png" if source != "png" else "jpg"
    with pytest.raises(FileInvalid):
        bare.convert(ENGINE, broken, source, target, tmp_path)


def test_a_gif_with_bytes_after_its_end_is_taken(tmp_path: Path) -> None:
    sample = images.make("gif", tmp_path / "sample")
    sample.write_bytes(sample.read_bytes() + b"junk")
    assert convert(sample, "gif", "webp", tmp_path).n_frames == 3


def test_a_header_that_claims_too_many_pixels(tmp_path: Path) -> None:
    sample = bytearray(images.make("png", tmp_path / "sample").read_bytes())
    sample[16:24] = (60_000).to_bytes(4, "big") * 2
    sample[29:33] = zlib.crc32(sample[12:29]).to_bytes(4, "big")
    (tmp_path / "bomb").write_bytes(sample)
    with pytest.raises(LimitExceeded) as caught:
        bare.convert(ENGINE, tmp_path / "bomb", "png", "jpg", tmp_path)
    assert caught.value.details["limit"] == "pixels"


def test_a_result_that_webp_cannot_hold(tmp_path: Path) -> None:
    Image.new("L", (20_000, 4)).save(tmp_path / "a.png")
    with pytest.raises(LimitExceeded):
        bare.convert(ENGINE, tmp_path / "a.png", "png", "webp", tmp_path)
