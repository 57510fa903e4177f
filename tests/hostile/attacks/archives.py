"""Archives whose names, links and heads lead elsewhere, and that swell (libarchive)."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

from hostile.attack import OK, REFUSED, Make, fill, row
from hostile.attacks.swelling import write_raw
from hostile.packing import MB, deflated
from hostile.traps import Traps
from samples import hostile

_CROWD = 60_000
_GZIP = b"\x1f\x8b\x08{flags}\0\0\0\0\0\xff"


def _zip(*names: str, link: str = "") -> Make:
    """A good file, then files of these names; with `link` the second is a link there."""

    def make(path: Path, traps: Traps) -> None:
        with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
            warnings.simplefilter("ignore")
            archive.writestr("good.txt", "good")
            for number, name in enumerate(names):
                entry = zipfile.ZipInfo(fill(name, traps, path.stem))
                # Python's own names lose what follows a NUL.
                entry.filename = fill(name, traps, path.stem)
                kind = stat.S_IFLNK if link and not number else stat.S_IFREG
                entry.create_system, entry.external_attr = 3, (kind | 0o777) << 16
                archive.writestr(entry, fill(link, traps, path.stem) if link else "evil")

    return make


def _tar(*members: tuple[str, bytes, str], mode: str = "w") -> Make:
    """A good file, then members (name, type, where a link leads)."""

    def make(path: Path, traps: Traps) -> None:
        every = (("good.txt", tarfile.REGTYPE, ""), *members)
        infos = [
            hostile.member(fill(name, traps, path.stem), kind, fill(link, traps, path.stem))
            for name, kind, link in every
        ]
        content = [b"evil" if info.type == tarfile.REGTYPE else b"" for info in infos]
        hostile.tar_of(path, zip(infos, content, strict=True), mode)

    return make


def _pax(**headers: str) -> Make:
    def make(path: Path, traps: Traps) -> None:
        info = hostile.member("good.txt")
        info.pax_headers = {
            key.replace("__", "."): fill(value, traps, path.stem) for key, value in headers.items()
        }
        hostile.tar_of(path, [(info, b"good")])

    return make


def _block(kind: bytes, size: bytes, name: bytes = b"x") -> bytes:
    """A tar header that says `size`, whatever follows."""
    head = bytearray(512)
    head[: len(name)] = name
    head[100:108], head[124:136] = b"0000644\0", size.ljust(12, b"\0")
    head[156:157], head[257:265] = kind, b"ustar\00000"
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)


def _crowd_zip(path: Path, _: Traps) -> None:
    """One entry that is listed again and again."""
    hostile.zip_of(path, [("good", b"good")])
    data = path.read_bytes()
    at, end = data.index(b"PK\1\2"), data.rindex(b"PK\5\6")
    listed = data[at:end] * _CROWD
    told = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, _CROWD, _CROWD, len(listed), at, 0)
    path.write_bytes(data[:at] + listed + told)


def _crowd_tar(path: Path, _: Traps) -> None:
    with gzip.open(path, "wb", 1) as file:
        file.write(_block(b"5", b"0", b"./") * _CROWD + bytes(1024))


def _gz(pieces: Iterable[bytes]) -> Make:
    def make(path: Path, _: Traps) -> None:
        with path.open("wb") as file:
            file.writelines(pieces)

    return make


def _bomb(pack: Callable[[bytes], bytes]) -> Make:
    """A tar of 512 MB of nothing, in pieces that can be put one after the other."""

    def make(path: Path, _: Traps) -> None:
        head = pack(_block(b"0", b"%o" % (512 * MB), b"zeros"))
        path.write_bytes(head + pack(bytes(16 * MB)) * 32)

    return make


def _bomb_zip(path: Path, _: Traps) -> None:
    write_raw(path, {"good.txt": b"good"}, {"zeros": (deflated(1024 * MB), 1024 * MB)})


def _lying_zip(path: Path, _: Traps) -> None:
    """Says that 512 MB are 100 bytes."""
    write_raw(path, {"good.txt": b"good"}, {"zeros": (deflated(512 * MB), 100)})


def _two_names(path: Path, _: Traps) -> None:
    """The directory says `good`, the entry itself says `../x`."""
    hostile.zip_of(path, [("good", b"evil")])
    path.write_bytes(path.read_bytes().replace(b"good", b"../x", 1))


def _patched(offset: int, value: bytes) -> Make:
    """A zip with `value` written into its end of directory (APPNOTE 4.3.16)."""

    def make(path: Path, _: Traps) -> None:
        hostile.zip_of(path, [("good", b"good")])
        data = bytearray(path.read_bytes())
        at = data.rindex(b"PK\5\6") + offset
        data[at : at + len(value)] = value
        path.write_bytes(data)

    return make


def _method(number: int) -> Make:
    """A zip of another way of packing, its data noise."""

    def make(path: Path, _: Traps) -> None:
        hostile.zip_of(path, [("noise", b"good" * 100)])
        data = bytearray(path.read_bytes())
        data[8:10] = struct.pack("<H", number)
        at = data.index(b"PK\1\2") + 10
        data[at : at + 2] = struct.pack("<H", number)
        data[35:48] = b"\xff" * 13
        path.write_bytes(data)

    return make


def _nested(path: Path, _: Traps) -> None:
    """A zip in a zip, fifty deep, around a bomb."""
    data = deflated(1024 * MB)
    write_raw(path, {}, {"0": (data, 1024 * MB)})
    for number in range(50):
        inner = path.read_bytes()
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{number}.zip", inner)


def _vint(value: int) -> bytes:
    """A number as 7z writes it, in nine bytes."""
    return b"\xff" + value.to_bytes(8, "little")


def _seven(header: bytes, size: int | None = None) -> bytes:
    """A 7z of nothing but this header (7zFormat.txt of the LZMA SDK)."""
    start = struct.pack("<QQI", 0, len(header) if size is None else size, zlib.crc32(header))
    return b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<I", zlib.crc32(start)) + start + header


def _seven_names(*names: str, attributes: int | None = None) -> bytes:
    """A 7z of empty files of these names; `attributes`: of each of them."""
    bits = bytes([0xFF << 8 - len(names) & 0xFF])
    text = b"\0" + b"".join(name.encode("utf-16-le") + b"\0\0" for name in names)
    files = bytes([len(names)]) + b"\x0e\1" + bits + b"\x0f\1" + bits
    files += b"\x11" + _vint(len(text)) + text
    if attributes is not None:
        told = b"\1\0" + struct.pack("<I", attributes) * len(names)
        files += b"\x15" + _vint(len(told)) + told
    return _seven(b"\1\5" + files + b"\0\0")


def _tar_bytes() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(hostile.member("good.txt"))
    return packed.getvalue()


_LINK = stat.S_IFLNK << 16 | 0x8000 | 0x400
_DIR, _SYM, _HARD = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
_FILE, _CHAR, _DISK, _PIPE = tarfile.REGTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE
_XZ_DICTIONARY = [{"id": lzma.FILTER_LZMA2, "dict_size": 1536 * MB}]
# RFC 8878: a frame whose window is 2 TB, and one that says that it holds 2^64 - 1 bytes.
_ZSTD_WINDOW = b"\x28\xb5\x2f\xfd\0\xf8" + b"\1\0\0" * 100
_ZSTD_SIZE = b"\x28\xb5\x2f\xfd\xe0" + b"\xff" * 8 + b"\1\0\0"

ATTACKS = (
    row("zip-up", "zip > tgz 7z", _zip("../evil.txt"), *REFUSED),
    row("zip-up-inside", "zip > tar", _zip("a/b/../../../evil.txt"), *REFUSED),
    row("zip-up-backslash", "zip > tar", _zip("..\\evil.txt"), *REFUSED),
    row("zip-absolute", "zip > tar", _zip("{folder}/evil.txt"), *REFUSED),
    row("zip-drive", "zip > tar", _zip("c:/evil.txt"), *REFUSED),
    row("zip-share", "zip > tar", _zip("\\\\127.0.0.1\\evil.txt"), *REFUSED),
    row("zip-nul", "zip > tar", _zip("good\0/../../evil.txt")),
    row("zip-odd-names", "zip > tar 7z",
        _zip("\u202etxt.exe", "a\r\nb", "con", "\uff0e\uff0e/evil", "%2e%2e/evil", "~/x", "-rf")),
    row("zip-long-name", "zip > tar 7z", _zip("a/" * 30_000 + "x", "y" * 60_000)),
    row("zip-two-names", "zip > tar", _two_names),
    row("zip-link", "zip > tar tgz", _zip("link", link="{file}")),
    row("zip-link-through", "zip > tar", _zip("link", "link/evil.txt", link="/etc")),
    row("zip-same-name", "zip > tar", _zip("good.txt"), *REFUSED),
    row("zip-bomb", "zip > tar 7z", _bomb_zip, *REFUSED),
    row("zip-bomb-lying", "zip > tar", _lying_zip, *REFUSED),
    row("zip-bomb-overlapping", "zip > tar",
        lambda path, _: hostile.zip_overlapping(path, 9_000), *REFUSED),
    row("zip-crowd", "zip > tar", _crowd_zip, *REFUSED),
    row("zip-nested", "zip > tar", _nested),
    row("zip-directory-far", "zip > tar", _patched(16, b"\xff\xff\xff\x7f"), *REFUSED),
    row("zip-directory-circle", "zip > tar", _patched(12, b"\xff\xff\xff\x7f\0\0\0\0"), *REFUSED),
    row("zip-count", "zip > tar", _patched(8, b"\xff\xfe\xff\xfe")),
    row("zip-comment", "zip > tar", _patched(20, b"\xff\xff")),
    *(row(f"zip-method-{number}", "zip > tar", _method(number)) for number in (9, 12, 14, 93, 98)),
    row("tar-up", "tar > zip 7z", _tar(("../evil.txt", _FILE, "")), *REFUSED),
    row("tar-absolute", "tar > zip", _tar(("/{folder}/evil.txt", _FILE, "")), *REFUSED),
    row("tar-pax-up", "tar > zip", _pax(path="../../evil.txt"), *REFUSED),
    row("tar-pax-link", "tar > zip", _pax(linkpath="{file}")),
    row("tar-pax-size", "tar > zip", _pax(size="-5")),
    row("tar-pax-huge", "tar > zip", _pax(size="9223372036854775807"), *REFUSED),
    row("tar-pax-time", "tar > zip 7z tgz", _pax(mtime="1e300", atime="-9" * 20)),
    row("tar-pax-charset", "tar > zip", _pax(hdrcharset="BINARY", path="\udcff" * 3)),
    row("tar-symlinks", "tar > zip 7z tgz",
        _tar(("link", _SYM, "{file}"), ("up", _SYM, "../../secret.txt"), ("here", _SYM, ".")), OK),
    row("tar-symlink-through", "tar > zip", _tar(("x", _SYM, "{folder}"), ("x/evil", _FILE, ""))),
    row("tar-hardlink", "tar > zip 7z tgz",
        _tar(("link", _HARD, "{file}"), ("up", _HARD, "../../secret.txt")), OK),
    row("tar-devices", "tar > zip tgz",
        _tar(("null", _CHAR, ""), ("disk", _DISK, ""), ("pipe", _PIPE, "")), OK),
    row("tar-folders", "tar > zip", _tar(*[("d/" * n, _DIR, "") for n in range(1, 400)])),
    row("tar-sparse", "tar > zip", _pax(GNU__sparse__major="1", GNU__sparse__minor="0",
        GNU__sparse__name="../x", GNU__sparse__realsize="9" * 18)),
    row("tar-size-endless", "tar > zip", _block(b"0", b"\x80" + b"\xff" * 11), *REFUSED),
    row("tar-size-negative", "tar > zip", _block(b"0", b"\xff" * 12), *REFUSED),
    row("tar-name-endless", "tar > zip",
        _block(b"L", b"77777777777") + b"x" * 4096, *REFUSED),
    row("tar-heads", "tar > zip",
        (_block(b"x", b"14") + b"12 path=abc\n".ljust(512, b"\0")) * 20_000, *REFUSED),
    row("tar-long-names", "tar > zip", (_block(b"L", b"4") + b"abc\0".ljust(512, b"\0")) * 20_000,
        *REFUSED),
    row("tar-noise", "tar > zip", b"\xff" * 100_000, *REFUSED),
    row("tgz-crowd", "tgz > zip", _crowd_tar, *REFUSED),
    row("tgz-bomb", "tgz > zip", _bomb(lambda data: gzip.compress(data, 9)), *REFUSED),
    row("tbz2-bomb", "tbz2 > zip", _bomb(bz2.compress), *REFUSED),
    row("txz-bomb", "txz > zip", _bomb(lzma.compress), *REFUSED),
    row("tgz-twice", "tgz > zip", gzip.compress(gzip.compress(_tar_bytes()))),
    row("tgz-members", "tgz > zip", _gz([gzip.compress(b"")] * 100_000), *REFUSED),
    row("tgz-name-endless", "tgz > zip",
        _gz([_GZIP.replace(b"{flags}", b"\x08"), *[b"x" * MB] * 32]), *REFUSED),
    row("tgz-extra", "tgz > zip",
        _gz([_GZIP.replace(b"{flags}", b"\x04"), b"\xff\xff" + b"x" * 65_535]), *REFUSED),
    row("txz-dictionary", "txz > zip",
        lzma.compress(_tar_bytes(), lzma.FORMAT_XZ, filters=_XZ_DICTIONARY)),
    row("txz-index", "txz > zip",
        lzma.compress(_tar_bytes())[:-28] + b"\0" + b"\xff" * 9 + b"\x7f" + b"\xff" * 40, *REFUSED),
    row("tzst-window", "tzst > zip", _ZSTD_WINDOW, *REFUSED),
    row("tzst-size", "tzst > zip", _ZSTD_SIZE * 50, *REFUSED),
    row("tzst-skipped", "tzst > zip", b"\x50\x2a\x4d\x18\0\0\0\0" * 200_000, *REFUSED),
    row("7z-up", "7z > zip", _seven_names("good", "../evil.txt"), *REFUSED),
    row("7z-absolute", "7z > zip", _seven_names("/etc/evil", "good"), *REFUSED),
    row("7z-link", "7z > zip tgz", _seven_names("link", attributes=_LINK)),
    row("7z-files", "7z > zip", _seven(b"\1\5" + _vint(2**62) + b"\x0e\1\x80\0\0"), *REFUSED),
    row("7z-streams", "7z > zip",
        _seven(b"\1\4\6\0" + _vint(2**62) + b"\x09" + b"\1" * 100 + b"\0\0"), *REFUSED),
    row("7z-folders", "7z > zip",
        _seven(b"\1\4\7\x0b" + _vint(2**31) + b"\0" + b"\1" * 200 + b"\0\0"), *REFUSED),
    row("7z-header-size", "7z > zip", _seven(b"\1\0", 2**62), *REFUSED),
    row("7z-header-empty", "7z > zip", _seven(b""), *REFUSED),
    row("rar-as-zip", "zip > tar", b"Rar!\x1a\7\1\0" + b"\xff" * 1000, *REFUSED),
    row("mtree-as-tar", "tar > zip", "#mtree\n/set type=file\n./x contents={file}\n" * 20,
        *REFUSED),
    row("cab-as-7z", "7z > zip", b"MSCF\0\0\0\0" + b"\xff" * 1000, *REFUSED),
    row("cpio-as-tar", "tar > zip", b"070701" + b"0" * 104 + b"evil" + bytes(512), *REFUSED),
)  # fmt: skip
