"""Pictures with absurd heads, bombs of pixels and frames (libvips, Pillow)."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from hostile.attack import OK, REFUSED, Make, row
from hostile.packing import MB, zeros
from hostile.traps import Traps


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 0) -> bytes:
    head = chunk(b"IHDR", struct.pack(">2I5B", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IEND", b"")


_DOT = chunk(b"IDAT", zlib.compress(b"\0\0"))


def _animation(frames: int) -> Make:
    """An APNG of `frames` frames, all of them one dot."""

    def make(path: Path, _: Traps) -> None:
        control = struct.pack(">4I2H2B", 1, 1, 0, 0, 1, 100, 0, 0)
        pieces = [chunk(b"acTL", struct.pack(">2I", frames, 0))]
        pieces += [chunk(b"fcTL", struct.pack(">I", 0) + control), _DOT]
        for number in range(1, frames):
            pieces.append(chunk(b"fcTL", struct.pack(">I", 2 * number - 1) + control))
            pieces.append(chunk(b"fdAT", struct.pack(">I", 2 * number) + zlib.compress(b"\0\0")))
        path.write_bytes(png(1, 1, *pieces))

    return make


def gif(width: int, height: int, frames: int, delay: int = 1) -> bytes:
    """`frames` frames of one dot on a large canvas: each is a whole picture when unpacked; and
    stays for `delay` hundredths of a second."""
    stays = delay.to_bytes(2, "little")
    frame = b"\x21\xf9\x04\x04" + stays + b"\x00\x00\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"
    head = b"GIF89a" + struct.pack("<2H3B", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return head + frame * frames + b"\x3b"


def _webp(path: Path, _: Traps) -> None:
    from PIL import Image

    dots = [Image.new("RGB", (1000, 1000), (n % 256, n // 256, 0)) for n in range(40)]
    dots[0].save(path, "WEBP", save_all=True, append_images=dots[1:] * 7, lossless=True, method=0)


def _scans(path: Path, _: Traps) -> None:
    """A progressive JPEG that repeats a tiny scan thousands of times."""
    import io

    from PIL import Image

    packed_image = io.BytesIO()
    Image.new("L", (8000, 8000)).save(packed_image, "JPEG", progressive=True)
    data = packed_image.getvalue()
    first = data.index(b"\xff\xda")
    second = data.index(b"\xff\xda", first + 2)
    scan_start = data.rindex(b"\xff\xda", 0, len(data))
    scan = data[scan_start:-2]
    path.write_bytes(data[:second] + scan * (4 * MB // max(len(scan), 1)) + b"\xff\xd9")


def tiff(*entries: tuple[int, int, int, int], following: int = 0, data: bytes = b"") -> bytes:
    """(tag, type, count, value): one directory at 8."""
    body = b"".join(struct.pack("<2H2I", *entry) for entry in entries)
    head = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries))
    return head + body + struct.pack("<I", following) + data


def _lzw(width: int, height: int, **how: int) -> tuple[tuple[int, int, int, int], ...]:
    return (
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, 1, how.get("at", 8)), (277, 3, 1, 1), (278, 4, 1, height),
        (279, 4, 1, how.get("size", 1)),
    )  # fmt: skip


_BMP = b"BM" + struct.pack("<IHHI", 54, 0, 0, 54)
_TGA = struct.pack("<3B2HB4H2B", 0, 0, 2, 0, 0, 0, 0, 0, 65535, 65535, 32, 0)
_ICO = struct.pack("<3H4B2H2I", 0, 1, 1, 0, 0, 0, 0, 1, 32, 2**31, 22)
_PSD = b"8BPS" + struct.pack(">H6xH2I2H", 1, 4, 30000, 30000, 8, 3) + bytes(12) + b"\0\1"
_DDS = b"DDS " + struct.pack("<7I", 124, 0x1007, 65535, 65535, 0, 0, 0).ljust(124, b"\0")
_QOI = b"qoif" + struct.pack(">2I2B", 2**31, 2**31, 4, 0) + b"\xfd" * 1000
_ICNS = b"icns" + struct.pack(">I", 24) + b"ic10" + struct.pack(">I", 2**32 - 1) + bytes(8)
_JP2 = b"\xff\x4f\xff\x51" + struct.pack(
    ">2H8IH3B", 41, 0, 2**31 - 1, 2**31 - 1, 0, 0, 1, 1, 0, 0, 1, 7, 1, 1
)
_PCX = b"\x0a\x05\x01\x08" + struct.pack("<6H", 0, 0, 65534, 65534, 72, 72) + bytes(48)
_PCX += b"\0\x04" + struct.pack("<H", 65534) + bytes(58)
_JXL = b"\xff\x0a" + b"\xff" * 64

ATTACKS = (
    row("png-head-only", "png > jpg", png(100_000, 100_000, _DOT)),
    row("png-side-2^31", "png > jpg webp", png(2**31 - 1, 2**31 - 1, _DOT)),
    row("png-zero", "png > jpg", png(0, 0, _DOT)),
    row("png-pixels", "png > jpg webp avif",
        png(60_000, 60_000, chunk(b"IDAT", zeros(60_000 * 7_501)), depth=1)),
    row("png-text-bomb", "png > jpg bmp",
        png(1, 1, chunk(b"zTXt", b"x\0\0" + zeros(1024 * MB)), _DOT)),
    row("png-many-texts", "png > jpg bmp",
        png(1, 1, *[chunk(b"zTXt", b"x\0\0" + zeros(8 * MB))] * 200, _DOT)),
    row("png-profile-bomb", "png > jpg bmp",
        png(1, 1, chunk(b"iCCP", b"x\0\0" + zeros(1024 * MB)), _DOT)),
    row("png-path-text", "png > jpg tiff",
        png(1, 1, chunk(b"tEXt", b"profile\0/etc/passwd"), _DOT), OK),
    row("apng-frames", "png > webp gif", _animation(50_000)),
    row("gif-canvas", "gif > webp png mp4", gif(65535, 65535, 1)),
    row("gif-frames", "gif > webp mp4", gif(8000, 8000, 5_000)),
    row("gif-75-days", "gif > webp mp4", gif(16, 16, 9_999, delay=65_535), *REFUSED),
    row("gif-many-frames", "gif > webp png", gif(1, 1, 200_000)),
    row("webp-frames", "webp > gif png", _webp),
    row("webp-size", "webp > png", b"RIFF\xff\xff\xff\xffWEBPVP8X\n\0\0\0\x02\0\0\0"
        + b"\xff" * 6 + b"ANMF" * 100),
    row("jpg-scans", "jpg > png webp", _scans),
    row("jpg-size", "jpg > png", b"\xff\xd8\xff\xc0\0\x0b\x08\xff\xff\xff\xff\1\1\x11\0\xff\xd9"),
    row("tiff-circle", "tiff > png", tiff(*_lzw(1, 1), following=8)),
    row("tiff-size", "tiff > png jpg", tiff(*_lzw(2**31 - 1, 2**31 - 1))),
    row("tiff-counts", "tiff > png", tiff((256, 4, 2**31, 8), (273, 4, 2**32 - 1, 8))),
    row("tiff-strip-lies", "tiff > png", tiff(*_lzw(20_000, 20_000, size=2**31))),
    row("bmp-size", "bmp > png", _BMP + struct.pack("<I2i2H6I", 40, 2**31 - 1, -(2**31) + 1, 1, 32,
        0, 0, 0, 0, 0, 0)),
    row("tga-size", "tga > png", _TGA),
    row("ico-size", "ico > png", _ICO + b"\x89PNG\r\n\x1a\n"),
    row("ico-png-bomb", "ico > png", _ICO + png(60_000, 60_000, chunk(b"IDAT", zeros(MB)))),
    row("psd-size", "psd > png", _PSD),
    row("dds-size", "dds > png", _DDS),
    row("qoi-size", "qoi > png", _QOI),
    row("icns-size", "icns > png", _ICNS),
    row("jp2-size", "jp2 > png", _JP2),
    row("jxl-size", "jxl > png", _JXL),
    row("ppm-size", "ppm > png", b"P6 99999999 99999999 255\n\0"),
    row("pcx-size", "pcx > png", _PCX),
)  # fmt: skip
