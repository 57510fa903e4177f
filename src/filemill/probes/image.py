"""Reading a picture's header: its size as it is shown (turned upright) and its frames."""

from __future__ import annotations

import itertools
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from filemill.errors import FileInvalid, FilemillError, LimitExceeded
from filemill.formats.table import FORMATS
from filemill.limits import Ceilings, refuse
from filemill.model import Facts
from filemill.probes.size import size_of
from filemill.raster import libvips

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

_PIECE = 64 * 1024
_LESS = "Save it without its metadata."


def probe(path: str, format: str, ceilings: Ceilings) -> Facts:
    size = size_of(path)
    if format == "png":
        with Path(path).open("rb") as file:
            _check_png(file, ceilings)
    if format == "tiff":
        with Path(path).open("rb") as file:
            _check_directories(file, ceilings)
    if format == "gif":
        with Path(path).open("rb") as file:
            if _cut_off(file):
                raise FileInvalid("The GIF is cut off.", hint="Upload it again.")
    if format == "jxl":
        with Path(path).open("rb") as file:
            width, height, frames = *_jxl_size(file), 1
    else:
        read = _by_vips if format in _VIPS else _by_pillow
        width, height, frames = read(path, format, ceilings)
    return Facts(format, size, width=width, height=height, frames=frames)


def _by_vips(path: str, format: str, ceilings: Ceilings) -> tuple[int, int, int]:
    pyvips = libvips()
    try:
        image = getattr(pyvips.Image, _VIPS[format])(path)
    except pyvips.Error:
        raise _unreadable(format) from None
    if format == "avif" and image.get("heif-compression") != "av1":
        raise _unreadable(format)
    if format == "gif" and image.get_typeof("delay"):
        refuse(
            "duration",
            sum(image.get("delay")) // 1000,
            ceilings.duration,
            "It plays for {value} seconds, at most {allowed} are allowed here.",
            "Make it shorter first.",
        )
    frames = image.get("n-pages") if image.get_typeof("n-pages") else 1
    turned = image.get_typeof("orientation") and image.get("orientation") > 4
    width, height = (image.height, image.width) if turned else (image.width, image.height)
    return width, height, frames


def _by_pillow(path: str, format: str, ceilings: Ceilings) -> tuple[int, int, int]:
    from PIL import Image

    if format == "heic":
        import pillow_heif

        pillow_heif.register_heif_opener()
    # Sizes are checked later: opening decodes nothing. Pillow raises at twice this number.
    Image.MAX_IMAGE_PIXELS = ceilings.pixels
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    try:
        with Image.open(path, formats=[_PILLOW.get(format, format.upper())]) as image:
            # Of a TIFF it tells the size as shown.
            turned = format != "tiff" and image.getexif().get(0x0112, 1) > 4
            width, height = (image.height, image.width) if turned else image.size
            if format == "tiff":
                _check_strips(image, Path(path).stat().st_size)
            # The layers of a PSD are no frames: we read the flattened picture.
            return width, height, 1 if format == "psd" else getattr(image, "n_frames", 1)
    except Image.DecompressionBombError as error:
        raise LimitExceeded(
            f"The picture is too large: {error}.",
            details={"limit": "pixels", "allowed": ceilings.pixels},
        ) from None
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


def _check_png(file: BinaryIO, ceilings: Ceilings) -> None:
    """What the packed chunks unpack to (PNG 3rd edition, 11.3.2.3, 11.3.3): libpng unpacks each
    whole, in memory."""
    file.seek(8)
    unpacked = 0
    for number in itertools.count(1):
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return
        refuse(
            "entries", number, ceilings.entries, "The PNG has more than {allowed} chunks.", _LESS
        )
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        after = file.tell() + length + 4
        if kind in {b"zTXt", b"iTXt", b"iCCP"}:
            for size in _unpacked(file, length, kind):
                unpacked += size
                refuse(
                    "metadata",
                    unpacked,
                    ceilings.metadata,
                    "The packed texts and profile of the PNG hold more than {allowed} bytes.",
                    _LESS,
                )
        file.seek(after)


def _unpacked(file: BinaryIO, length: int, kind: bytes) -> Iterator[int]:
    """The sizes of the pieces that a packed chunk becomes."""
    # Keyword (at most 79 bytes), flags, and in iTXt two more texts stand before the packed data.
    data = file.read(min(length, _PIECE))
    length -= len(data)
    at = data.find(b"\0") + 2
    if kind == b"iTXt":
        if data[at - 1 : at] != b"\1":
            return
        at = data.find(b"\0", data.find(b"\0", at + 1) + 1) + 1
    unpacker = zlib.decompressobj()
    data = data[at:]
    try:
        while data or length:
            if not data:
                data = file.read(min(length, _PIECE))
                if not data:
                    return
                length -= len(data)
            yield len(unpacker.decompress(data, _PIECE))
            data = unpacker.unconsumed_tail
    except zlib.error:
        return  # a broken text harms nobody; decoders skip it


def _check_directories(file: BinaryIO, ceilings: Ceilings) -> None:
    """That the chain of pictures ends, soon enough, and never turns back (TIFF 6.0, 2)."""
    mark = file.read(4)
    order = "<" if mark[:2] == b"II" else ">"
    big = mark[2:] in {b"+\0", b"\0+"}
    count, entry, offset = ("Q", 20, "Q") if big else ("H", 12, "I")
    file.seek(8 if big else 4)
    seen: set[int] = set()

    def number(kind: str) -> int:
        size = struct.calcsize(kind)
        value: int = struct.unpack(order + kind, file.read(size).ljust(size, b"\0"))[0]
        return value

    while at := number(offset):
        if at in seen:
            raise FileInvalid("The pages of the TIFF lead in a circle.", hint="It is damaged.")
        seen.add(at)
        refuse(
            "frames",
            len(seen),
            ceilings.frames,
            "The TIFF has more than {allowed} pages.",
            "Split it.",
        )
        file.seek(at)
        file.seek(number(count) * entry, 1)


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
