"""Archives into each other, and those that harm; Python's own modules read tar and zip."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from filemill.conversion import Result
from filemill.errors import FileInvalid, LimitExceeded
from filemill.formats import detect_file
from filemill.packing import KINDS
from samples import hostile
from samples.hostile import member

FILES = {"folder/a.txt": b"hello\n" * 1000, "ü ö.bin": os.urandom(300_000), "empty": b""}
MODES = {"tar": "w", "tgz": "w:gz", "tbz2": "w:bz2", "txz": "w:xz"}
TARS = (*MODES, "tzst")
MTIME = 1_700_000_000


def make(format: str, path: Path) -> Path:
    if format == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.mkdir("folder")
            for name, data in FILES.items():
                archive.writestr(name, data)
        return path
    folder = member("folder", tarfile.DIRTYPE)
    members = [(folder, b""), *((member(name), data) for name, data in FILES.items())]
    for info, _ in members:
        info.mtime = MTIME
        info.mode = 0o755 if info.name == "empty" else 0o604
        info.uname, info.uid = "root", 12345
    return hostile.tar_of(path, members, MODES[format])


def contents(path: Path, format: str, tmp_path: Path) -> dict[str, bytes]:
    if format == "zip":
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            return {n: archive.read(n) for n in archive.namelist() if not n.endswith("/")}
    data: io.BytesIO | Path = path
    if format == "tzst":
        import pyarrow

        data = io.BytesIO(pyarrow.CompressedInputStream(str(path), "zstd").read())
    with tarfile.open(fileobj=data) if isinstance(data, io.BytesIO) else tarfile.open(data) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isreg()}  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("archives")
    return {format: make(format, folder / f"x.{format}") for format in (*MODES, "zip")}


@pytest.mark.parametrize("source", [*MODES, "zip"])
@pytest.mark.parametrize("target", [*TARS, "zip"])
def test_every_pair(
    source: str,
    target: str,
    sources: dict[str, Path],
    convert: Callable[..., Result],
    tmp_path: Path,
) -> None:
    if source == target:
        return
    result = convert(sources[source], source, target)
    assert contents(result.path, target, tmp_path) == FILES
    assert result.facts.entries == len(FILES)


@pytest.mark.parametrize("format", ["7z", "tzst"])
def test_there_and_back(
    format: str, sources: dict[str, Path], convert: Callable[..., Result], tmp_path: Path
) -> None:
    """Formats that Python does not read, or not write."""
    there = convert(sources["tar"], "tar", format)
    magic = {"7z": b"7z\xbc\xaf\x27\x1c", "tzst": b"\x28\xb5\x2f\xfd"}[format]
    assert there.path.read_bytes().startswith(magic)
    assert there.path.stat().st_size < sources["tar"].stat().st_size
    for target in ("zip", "tgz"):
        back = convert(there.path, format, target)
        assert contents(back.path, target, tmp_path) == FILES


def test_what_is_kept_of_a_file(sources: dict[str, Path], convert: Callable[..., Result]) -> None:
    with tarfile.open(convert(sources["tgz"], "tgz", "tar").path) as tar:
        found = {info.name: info for info in tar}
    assert found["empty"].mode == 0o755
    assert found["folder/a.txt"].mode == 0o644
    assert found["folder/a.txt"].mtime == MTIME
    assert {(info.uid, info.uname) for info in found.values()} == {(0, "")}


@pytest.mark.parametrize("format", [*MODES, "zip"])
def test_detected(format: str, sources: dict[str, Path]) -> None:
    with sources[format].open("rb") as file:
        found = detect_file(file, "upload")
    assert found
    assert found.id == format


@pytest.mark.parametrize("source", ["tar", "tgz"])
@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/etc/evil", "C:\\evil", "..\\evil", "a/.."]
)
def test_names_that_lead_out(
    source: str, name: str, convert: Callable[..., Result], tmp_path: Path
) -> None:
    path = hostile.tar_of(
        tmp_path / "x", [(member("good"), b"1"), (member(name), b"2")], MODES[source]
    )
    with pytest.raises(FileInvalid, match="elsewhere"):
        convert(path, source, "zip")


@pytest.mark.parametrize("name", ["../evil", "/etc/evil"])
def test_names_that_lead_out_of_a_zip(
    name: str, convert: Callable[..., Result], tmp_path: Path
) -> None:
    path = hostile.zip_of(tmp_path / "x.zip", [("good", b"1"), (name, b"2")])
    with pytest.raises(FileInvalid, match="elsewhere"):
        convert(path, "zip", "tgz")


@pytest.mark.parametrize("name", ["../лиса", "/лиса", "лиса\\..\\..\\ёж"])
def test_names_that_lead_out_in_another_encoding(
    name: str, convert: Callable[..., Result], tmp_path: Path
) -> None:
    with pytest.raises(FileInvalid, match="elsewhere"):
        convert(by_explorer(tmp_path / "x.zip", [name]), "zip", "tgz")


def by_explorer(path: Path, names: list[str]) -> Path:
    """A zip as a Russian Windows makes it: names in cp866, and nothing says so."""
    stand_ins = [bytes(ord("A") + number for _ in name) for number, name in enumerate(names)]
    hostile.zip_of(path, [(word.decode(), word) for word in stand_ins])
    data = path.read_bytes()
    for word, name in zip(stand_ins, names, strict=True):
        data = data.replace(word, name.encode("cp866"))
    path.write_bytes(data)
    return path


def test_names_in_another_encoding_stay_different(
    convert: Callable[..., Result], tmp_path: Path
) -> None:
    given = {"отчёт.txt", "лошадь.tx", "папка/лис"}
    path = by_explorer(tmp_path / "x.zip", sorted(given))
    names = contents(convert(path, "zip", "tgz").path, "tgz", tmp_path)
    assert {name.encode("cp437").decode("cp866") for name in names} == given
    same = by_explorer(tmp_path / "y.zip", ["лиса", "рыба"])
    assert len(contents(convert(same, "zip", "tgz").path, "tgz", tmp_path)) == 2


LINKS = {
    "symlink": member("link", tarfile.SYMTYPE, "/etc/passwd"),
    "upwards": member("link", tarfile.SYMTYPE, "../../../etc/passwd"),
    "hard link": member("link", tarfile.LNKTYPE, "/etc/passwd"),
    "device": member("link", tarfile.CHRTYPE),
    "disk": member("link", tarfile.BLKTYPE),
    "pipe": member("link", tarfile.FIFOTYPE),
}


@pytest.mark.parametrize("kind", LINKS)
@pytest.mark.parametrize("target", ["zip", "tgz", "7z"])
def test_links_and_devices_are_left_out(
    kind: str, target: str, convert: Callable[..., Result], tmp_path: Path
) -> None:
    members = [(member("good"), b"1"), (LINKS[kind], b""), (member("last"), b"2")]
    result = convert(hostile.tar_of(tmp_path / "x.tar", members), "tar", target)
    assert any("1 links or devices left out" in check for check in result.verdict.checks)
    back = result if target != "7z" else convert(result.path, "7z", "zip")
    kept = "zip" if target == "7z" else target
    assert contents(back.path, kept, tmp_path) == {"good": b"1", "last": b"2"}


def test_nothing_but_links(convert: Callable[..., Result], tmp_path: Path) -> None:
    path = hostile.tar_of(tmp_path / "x.tar", [(LINKS["symlink"], b"")])
    with pytest.raises(FileInvalid, match="no files"):
        convert(path, "tar", "zip")


def test_same_name_twice(convert: Callable[..., Result], tmp_path: Path) -> None:
    path = hostile.tar_of(tmp_path / "x.tar", [(member("a"), b"1"), (member("./a"), b"2")])
    with pytest.raises(FileInvalid, match="same name"):
        convert(path, "tar", "zip")


@pytest.mark.parametrize("format", ["tgz", "tbz2", "txz"])
def test_bomb(format: str, convert: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "x"
    with tarfile.open(path, MODES[format]) as tar:
        info = member("zeros")
        info.size = 300 << 20
        with Path("/dev/zero").open("rb") as zeros:
            tar.addfile(info, zeros)
    with pytest.raises(LimitExceeded) as caught:
        convert(path, format, "zip")
    assert caught.value.details["limit"] == "ratio"


def test_sparse_file_of_a_terabyte(convert: Callable[..., Result], tmp_path: Path) -> None:
    info = member("holes")
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "holes",
        "GNU.sparse.realsize": str(1 << 40),
    }
    path = hostile.tar_of(tmp_path / "x.tar", [(info, b"0\n".ljust(512, b"\0"))])
    with pytest.raises(LimitExceeded) as caught:
        convert(path, "tar", "zip")
    assert caught.value.details["limit"] in {"unpacked", "ratio"}


def test_archives_in_archives_are_only_carried(
    convert: Callable[..., Result], tmp_path: Path
) -> None:
    inner = hostile.zip_bomb(tmp_path / "inner.zip", 200 << 20).read_bytes()
    path = hostile.tar_of(tmp_path / "x.tar", [(member("inner.zip"), inner)])
    result = convert(path, "tar", "zip")
    assert contents(result.path, "zip", tmp_path) == {"inner.zip": inner}


def test_locked(convert: Callable[..., Result], tmp_path: Path) -> None:
    path = hostile.zip_of(tmp_path / "x.zip", [("a", b"secret")])
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.rindex(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(FileInvalid, match="password"):
        convert(path, "zip", "tar")


@pytest.mark.parametrize("format", [*MODES, "zip"])
@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_cut_off(
    format: str,
    part: float,
    sources: dict[str, Path],
    convert: Callable[..., Result],
    tmp_path: Path,
) -> None:
    data = sources[format].read_bytes()
    path = tmp_path / "x"
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(FileInvalid):
        convert(path, format, "zip" if format != "zip" else "tar")


@pytest.mark.parametrize("format", KINDS)
def test_garbage(format: str, convert: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(range(256)) * 40)
    with pytest.raises(FileInvalid):
        convert(path, format, "zip" if format != "zip" else "tar")
