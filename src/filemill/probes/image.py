"""Reading a picture's header: its size as it is shown (turned upright) and its frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from filemill.errors import FileInvalid, FilemillError, LimitExceeded
from filemill.formats.table import FORMATS
from filemill.model import Facts

_VIPS = {
    "jpg": "jpegload",
    "png": "pngload",
    "webp": "webpload",
    "gif": "gifload",
    "avif": "heifload",
}
"""Formats whose header libvips reads, each by its own loader."""
_PILLOW = {
    "heic": "HEIF",
    "jp2": "JPEG2000",
    "ppm": "PPM",
    "psd": "PSD",
}
"""Pillow's names, where they are not ours in capitals."""


def probe(
    report: Callable[[float], None],  # noqa: ARG001
    path: str,
    format: str,
) -> dict[str, Any]:
    size = Path(path).stat().st_size
    if not size:
        raise FileInvalid("The file is empty.", hint="Check the upload.")
    if format == "gif":
        with Path(path).open("rb") as file:
            if _cut_off(file):
                raise FileInvalid("The GIF is cut off.", hint="Upload it again.")
    if format == "jxl":
        with Path(path).open("rb") as file:
            width, height, frames = *_jxl_size(file), 1
    else:
        width, height, frames = (_by_vips if format in _VIPS else _by_pillow)(path, format)
    return Facts(format, size, width=width, height=height, frames=frames).to_json()


def _by_vips(path: str, format: str) -> tuple[int, int, int]:
    import pyvips

    pyvips.block_untrusted_set(True)
    pyvips.cache_set_max(0)  # names repeat: in.png is another file each time
    try:
        image = getattr(pyvips.Image, _VIPS[format])(path)
    except pyvips.Error:
        raise _unreadable(format) from None
    if format == "avif" and image.get("heif-compression") != "av1":
        raise _unreadable(format)
    frames = image.get("n-pages") if image.get_typeof("n-pages") else 1
    turned = image.get_typeof("orientation") and image.get("orientation") > 4
    width, height = (image.height, image.width) if turned else (image.width, image.height)
    return width, height, frames


def _by_pillow(path: str, format: str) -> tuple[int, int, int]:
    from PIL import Image

    if format == "heic":
        import pillow_heif

        pillow_heif.register_heif_opener()
    try:
        with Image.open(path, formats=[_PILLOW.get(format, format.upper())]) as image:
            turned = image.getexif().get(0x0112, 1) > 4
            width, height = (image.height, image.width) if turned else image.size
            if format == "tiff":
                _check_strips(image, Path(path).stat().st_size)
            # The layers of a PSD are no frames: we read the flattened picture.
            return width, height, 1 if format == "psd" else getattr(image, "n_frames", 1)
    except Image.DecompressionBombError as error:
        raise LimitExceeded(f"{error}.", details={"limit": "pixels"}) from None
    except FilemillError:
        raise
    except Exception:  # its readers raise whatever they stumble over
        raise _unreadable(format) from None


def _jxl_size(file: BinaryIO) -> tuple[int, int]:
    """Width and height as shown, from the codestream's header (ISO 18181-1: SizeHeader and
    ImageMetadata; 18181-2: boxes): the library would decode the whole picture for them."""
    start = file.read(12)
    if start == b"\0\0\0\x0cJXL \r\n\x87\n":
        while len(box := file.read(8)) == 8:
            length, kind = int.from_bytes(box[:4], "big"), box[4:]
            if kind in {b"jxlc", b"jxlp"}:
                start = file.read(20)[4 if kind == b"jxlp" else 0 :]
                break
            if length == 1:  # a 64-bit length follows
                length = int.from_bytes(file.read(8), "big") - 8
            if length < 8:
                break
            file.seek(length - 8, 1)
    if start[:2] != b"\xff\x0a" or len(start) < 12:
        raise _unreadable("jxl")
    bits, at = int.from_bytes(start[2:], "little"), 0

    def read(count: int) -> int:
        nonlocal at
        at += count
        return bits >> (at - count) & (1 << count) - 1

    def side() -> int:
        return (read(5) + 1) * 8 if small else read((9, 13, 18, 30)[read(2)]) + 1

    small = read(1)
    height = side()
    ratio = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[read(3)]
    width = height * ratio[0] // ratio[1] if ratio[0] else side()
    turned = not read(1) and read(1) and read(3) >= 4
    return (height, width) if turned else (width, height)


def _cut_off(file: BinaryIO) -> bool:
    """Whether a GIF ends before its trailer: decoders take it, and drop frames (GIF89a spec)."""
    file.seek(-1, 2)
    if file.read(1) == b"\x3b":
        return False
    file.seek(10)
    file.seek(13 + _colours(file.read(1)))
    while (kind := file.read(1)) == b"\x21" or kind == b"\x2c":
        if kind == b"\x2c":
            file.seek(_colours(file.read(9)[8:]) + 1, 1)
        else:
            file.seek(1, 1)
        while length := file.read(1):
            if length == b"\x00":
                break
            file.seek(length[0], 1)
    return kind != b"\x3b"


def _colours(packed: bytes) -> int:
    """Size in bytes of the colour table that this flag byte tells of."""
    return 3 << ((packed[0] & 7) + 1) if packed and packed[0] & 0x80 else 0


def _check_strips(image: Any, size: int) -> None:
    """libtiff fills what is missing of uncompressed pictures with black; so look at where the
    pixels are said to be (TIFF 6.0: strips 273 and 279, tiles 324 and 325)."""
    for number in range(image.n_frames):
        image.seek(number)
        tags = image.tag_v2
        for offsets, counts in ((273, 279), (324, 325)):
            ends = zip(tags.get(offsets, ()), tags.get(counts, ()), strict=False)
            if any(start + count > size for start, count in ends):
                raise FileInvalid("The TIFF is cut off.", hint="Upload it again.")
    image.seek(0)


def _unreadable(format: str) -> FileInvalid:
    title = FORMATS[format].title
    return FileInvalid(
        f"This is not a readable {title} file.",
        hint="It is damaged, or of another format than it says.",
    )
