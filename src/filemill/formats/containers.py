"""Which format a container holds: zip, OLE, ISO-BMFF, Matroska, Ogg, MPEG streams ...

Each recogniser is `(head, named) -> str | None`: the file's first bytes and the format
id that its name claims ("" for none) in, a format id out, or None: not one of these.
An id that the format table lacks means "known, but not converted here". Pure, and
bounded whatever the bytes say.
"""

from __future__ import annotations

import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Sequence
from struct import unpack_from
from typing import Protocol

from filemill.errors import protected
from filemill.formats.table import find


class _Unpacker(Protocol):
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


MAX_ENTRIES = 512
"""How many entries of a zip are looked at."""

_OPC_FOLDERS = {"word": "docx", "xl": "xlsx", "ppt": "pptx", "visio": "Visio"}
_OPC_MARKS = ("[Content_Types].xml", "_rels/", "docProps/")


def zip_head(head: bytes, named: str) -> str | None:
    """By the local headers in `head` (APPNOTE 4.3.7); the listing may stop short of the end."""
    if not head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return None
    names: list[str] = []
    mimetype, at = b"", 0
    while head.startswith(b"PK\x03\x04", at) and at + 30 <= len(head) and len(names) < MAX_ENTRIES:
        flags, method, size, name_size, extra_size = unpack_from("<6xHH8xI4xHH", head, at)
        name = head[at + 30 : at + 30 + name_size]
        body = at + 30 + name_size + extra_size
        # With a data descriptor the size stands behind the data: look for the next header.
        after = head.find(b"PK\x03\x04", body) if flags & 8 and not size else body + size
        if name == b"mimetype" and method == 0:
            mimetype = head[body : body + 100 if after < 0 else min(after, body + 100)]
        names.append(name.decode("utf-8", "replace"))
        at = len(head) if after < 0 else after
    complete = head.startswith((b"PK\x01\x02", b"PK\x05\x06"), at)
    return zip_kind(names, mimetype, "" if complete else named)


def zip_kind(names: Sequence[str], mimetype: bytes, named: str) -> str:
    """By the names of its entries. `named` counts only where `names` leaves it open."""
    if mimetype:
        kind = mimetype.partition(b"PK")[0].decode("ascii", "replace").strip()
        if found := find(kind.removesuffix("-template")):
            return found.id
        if "opendocument." in kind:
            return "OpenDocument " + kind.rpartition(".")[2]
    if any(name.startswith(_OPC_MARKS) for name in names):
        if "xl/workbook.bin" in names:
            return "xlsb"
        folders = (name.partition("/")[0] for name in names)
        if kind := next((_OPC_FOLDERS[folder] for folder in folders if folder in _OPC_FOLDERS), ""):
            return kind
        if named in _OPC_FOLDERS.values():
            return named
    if "META-INF/container.xml" in names:
        return "epub"
    if any(name.endswith(".iwa") for name in names):
        return "Apple iWork"
    return named if named == "cbz" else "zip"


def zip_central(tail: bytes, size: int) -> tuple[int, int] | None:
    """Offset and length of the central directory of a zip of `size` bytes that ends in `tail`."""
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + 22 > len(tail):
        return None
    length, offset = unpack_from("<II", tail, at + 12)
    return (offset, length) if offset + length <= size else None


def zip_names(directory: bytes) -> list[str]:
    """The entry names of (the beginning of) a central directory (APPNOTE 4.3.12)."""
    names: list[str] = []
    at = 0
    while directory.startswith(b"PK\x01\x02", at) and at + 46 <= len(directory):
        name_size, extra_size, comment_size = unpack_from("<28xHHH", directory, at)
        names.append(directory[at + 46 : at + 46 + name_size].decode("utf-8", "replace"))
        at += 46 + name_size + extra_size + comment_size
        if len(names) == 8 * MAX_ENTRIES:
            break
    return names


OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLE_STREAMS = {  # names in the directory, [MS-CFB] 2.6.1
    "EncryptedPackage": "encrypted",
    "PowerPoint Document": "ppt",
    "WordDocument": "doc",
    "Workbook": "xls",
    "Book": "xls",
    "__properties_version1.0": "Outlook message",
    "VisioDocument": "Visio",
}


def ole_directory(head: bytes) -> int:
    """Offset of the directory of an OLE compound file ([MS-CFB] 2.2)."""
    if len(head) < 52:
        return 0
    shift, sector = unpack_from("<30xH16xI", head)
    return int((sector + 1) << min(shift, 12))


def ole_head(head: bytes, named: str) -> str | None:
    if not head.startswith(OLE_MAGIC):
        return None
    at = ole_directory(head)
    return (
        ole_kind(head[at : at + 8192] or head, named) or ole_kind(head, named) or _ole_name(named)
    )


def ole_kind(directory: bytes, named: str) -> str | None:
    kinds = [
        kind
        for stream, kind in _OLE_STREAMS.items()
        if (stream + "\0").encode("utf-16-le") in directory
    ]
    if "encrypted" in kinds:
        raise protected()
    # A workbook in a document has its stream in the same directory: then the name decides.
    return named if named in kinds else next(iter(kinds), None)


def _ole_name(named: str) -> str:
    return named if named in ("doc", "xls", "ppt") else "OLE compound"


_BRANDS = {
    "qt": "mov", "M4A": "m4a", "M4B": "m4a", "M4P": "m4a", "avif": "avif", "avis": "avif",
    "heic": "heic", "heix": "heic", "hevc": "heic", "hevx": "heic", "heim": "heic",
    "heis": "heic", "crx": "Canon CR3", "jp2": "jp2", "jpx": "jp2",
}  # fmt: skip


def bmff(head: bytes, named: str) -> str | None:
    """ISO base media files by their brands (ISO/IEC 14496-12, the MP4 registration authority)."""
    if head[4:8] != b"ftyp" or len(head) < 12:
        return None
    end = min(max(int.from_bytes(head[:4], "big"), 16), 256)
    codes = [head[8:12], *(head[at : at + 4] for at in range(16, end, 4))]
    brands = [code.decode("latin-1").strip("\0 ") for code in codes]
    if brands[0] in _BRANDS:
        return _BRANDS[brands[0]]
    if brands[0] in ("mif1", "msf1", "miaf"):  # pictures whose codec a later brand names
        return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), "heic")
    if brands[0].startswith(("3gp", "3g2", "3ge", "3gg")):
        return "3gp"
    return named if named in ("m4a", "mp4", "mov") else "mp4"


def quicktime(head: bytes, named: str) -> str | None:
    """QuickTime files older than `ftyp`."""
    atoms = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
    return "mov" if head[4:8] in atoms and (head[0] == 0 or named == "mov") else None


def matroska(head: bytes, _: str) -> str | None:
    """By DocType (RFC 9559, RFC 8794 11.2.6)."""
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    found = re.search(rb"\x42\x82[\x80-\xff\x40]?\x00*([a-z]+)", head[:4096])
    kind = found[1].decode() if found else ""
    return {"webm": "webm", "matroska": "mkv"}.get(kind, "EBML")


def riff(head: bytes, _: str) -> str | None:
    if head[:4] not in (b"RIFF", b"RF64") or len(head) < 12:
        return None
    kinds = {b"WAVE": "wav", b"AVI ": "avi", b"WEBP": "webp"}
    return kinds.get(head[8:12], "RIFF")


def iff(head: bytes, _: str) -> str | None:
    if not head.startswith(b"FORM") or len(head) < 12:
        return None
    return "aiff" if head[8:12] in (b"AIFF", b"AIFC") else "IFF"


def ogg(head: bytes, _: str) -> str | None:
    """By the codecs that the first pages begin (RFC 3533, RFC 5334)."""
    if not head.startswith(b"OggS"):
        return None
    first = head[:4096]
    if b"\x80theora" in first or b"BBCD\0" in first:
        return "ogv"
    return "opus" if b"OpusHead" in first else "ogg"


def asf(head: bytes, named: str) -> str | None:
    if not head.startswith(bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")):
        return None
    video = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")  # ASF_Video_Media
    return "wmv" if video in head or named == "wmv" else "wma"


def tiff(head: bytes, named: str) -> str | None:
    """TIFF, or a camera's raw file, which is one too: only its name tells."""
    if not head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return None
    if head[8:10] == b"CR":
        return "cr2"
    raws = ("dng", "nef", "nrw", "cr2", "arw", "srf", "sr2", "pef", "srw", "3fr", "iiq", "erf")
    return named if named in raws else "tiff"


def id3(head: bytes, named: str) -> str | None:
    """What follows an ID3v2 tag; its size has 7 bits a byte."""
    if not head.startswith(b"ID3") or len(head) < 10 or max(head[6:10]) > 127:
        return None
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    rest = head[10 + size : 10 + size + 8192].lstrip(b"\0")
    return "flac" if rest.startswith(b"fLaC") else frames(rest, named) or "mp3"


def tar(head: bytes, _: str) -> str | None:
    """By the checksum of its first header (POSIX pax, ustar): the octets, those of the checksum
    itself counted as blanks."""
    if len(head) < 512 or not head[0]:
        return None
    told = head[148:156].strip(b" \0")
    if not re.fullmatch(rb"[0-7]{1,7}", told):
        return None
    total = sum(head[:148]) + sum(head[156:512]) + 8 * 32
    return "tar" if int(told, 8) == total else None


_PACKERS: tuple[tuple[bytes, str, str, Callable[[], _Unpacker]], ...] = (
    (b"\x1f\x8b\x08", "gz", "tgz", lambda: zlib.decompressobj(31)),
    (b"BZh", "bz2", "tbz2", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\0", "xz", "txz", lambda: lzma.LZMADecompressor(memlimit=1 << 28)),
)


def packed(head: bytes, _: str) -> str | None:
    """What is packed, by the beginning of what it unpacks to: a tar or not one of ours."""
    for magic, plain, tarred, unpacker in _PACKERS:
        if head.startswith(magic):
            try:
                start = unpacker().decompress(head, 512)
            except (zlib.error, OSError, lzma.LZMAError, EOFError):
                return plain
            # bzip2 gives nothing until a whole block is there: then the reader tells.
            return tarred if not start and plain == "bz2" else (tar(start, "") and tarred) or plain
    return None


_RATES_V1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_RATES_V2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
_AC3_RATES = (*_RATES_V1[1:15], 384, 448, 512, 576, 640)


def _mp3(h: bytes) -> int:
    """Length of an MPEG audio layer III frame (ISO 11172-3 2.4.3.1), 0: not one."""
    if len(h) < 4 or h[0] != 0xFF or h[1] & 0xE6 != 0xE2 or h[1] & 0x18 == 0x08:
        return 0
    version1 = h[1] & 0x18 == 0x18
    kbps = (_RATES_V1 if version1 else _RATES_V2)[h[2] >> 4]
    hertz = (44100, 48000, 32000, 0)[h[2] >> 2 & 3] // {0x18: 1, 0x10: 2, 0: 4}[h[1] & 0x18]
    return (144 if version1 else 72) * kbps * 1000 // hertz + (h[2] >> 1 & 1) if hertz else 0


def _adts(h: bytes) -> int:
    """Length of an AAC frame (ISO 13818-7 6.2)."""
    if len(h) < 7 or h[0] != 0xFF or h[1] & 0xF6 != 0xF0:
        return 0
    return (h[3] & 3) << 11 | h[4] << 3 | h[5] >> 5


def _ac3(h: bytes) -> int:
    """Length of an AC-3 frame (ATSC A/52 5.3, 5.4.1)."""
    if len(h) < 6 or h[:2] != b"\x0b\x77" or h[5] >> 3 > 10 or h[4] & 63 > 37:
        return 0
    kbps = _AC3_RATES[(h[4] & 63) >> 1]
    return (kbps * 4, (kbps * 96000 // 44100 + (h[4] & 1)) * 2, kbps * 6, 0)[h[4] >> 6]


_FRAMES: tuple[tuple[str, Callable[[bytes], int]], ...] = (
    ("mp3", _mp3),
    ("aac", _adts),
    ("ac3", _ac3),
)


def frames(head: bytes, _: str) -> str | None:
    """Streams of frames with two weak bytes each: three in a row are needed, or the file's end."""
    for kind, length in _FRAMES:
        at, found = 0, 0
        while found < 3 and (size := length(head[at : at + 8])) > 6:
            at, found = at + size, found + 1
        if found == 3 or (found and at >= len(head)):
            return kind
    return None


def transport(head: bytes, _: str) -> str | None:
    """MPEG transport streams: a sync byte each 188 bytes, or 192 with a time before each."""
    for first, size in ((0, 188), (4, 192)):
        syncs = head[first : first + 5 * size : size]
        if len(syncs) > 1 and syncs == b"\x47" * len(syncs):
            return "ts"
    return None
