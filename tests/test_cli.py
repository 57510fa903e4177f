"""The command line as people run it: in a process of its own, on real files."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
import wave
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from samples import images, media, pdfs
from sandbox.processes import eventually

COMMAND = (sys.executable, "-m", "filemill")


class Shell:
    """Runs `filemill ARGS` in a folder of its own, with temporary files in another."""

    def __init__(self, path: Path) -> None:
        self.folder, self.temporary = path / "folder", path / "tmp"
        self.folder.mkdir()
        self.temporary.mkdir()
        self.env = {
            **os.environ,
            "TMPDIR": str(self.temporary),
            "FILEMILL_DATA": str(path / "data"),
        }

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            [*COMMAND, *arguments], cwd=self.folder, env=self.env, capture_output=True, check=False
        )
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        assert not list(self.temporary.iterdir()), "temporary files are left"
        return done

    def json(self, *arguments: str, code: int = 0) -> dict:
        done = self(*arguments, "--json")
        assert done.returncode == code, done.stderr.decode()
        return json.loads(done.stdout)

    @property
    def files(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_a_picture_is_converted_beside_its_source(shell: Shell) -> None:
    images.make("png", shell.folder / "my photo.png")
    done = shell("convert", "my photo.png", "jpg", "--option", "quality=40", "--option", "width=64")
    assert done.returncode == 0
    assert done.stdout == b""
    assert b"100%" in done.stderr
    with Image.open(shell.folder / "my photo.jpg") as image:
        assert image.format == "JPEG"
        assert image.width == 64
    assert shell.files == {"my photo.png", "my photo.jpg"}
    umask = os.umask(0o022)
    os.umask(umask)
    assert (shell.folder / "my photo.jpg").stat().st_mode & 0o777 == 0o666 & ~umask


def test_the_result_goes_to_standard_output(shell: Shell) -> None:
    media.make("flac", shell.folder / "a.flac")
    done = shell("convert", "a.flac", "wav", "-o", "-")
    assert done.returncode == 0
    (shell.folder / "read.wav").write_bytes(done.stdout)
    with wave.open(str(shell.folder / "read.wav")) as sound:
        assert sound.getnframes() / sound.getframerate() == pytest.approx(1, abs=0.05)
    assert shell.files == {"a.flac", "read.wav"}


def test_json_tells_what_was_made_and_verified(shell: Shell) -> None:
    (shell.folder / "out").mkdir()
    images.make("png", shell.folder / "a.png")
    told = shell.json("convert", "a.png", "webp", "-o", "out")
    assert told["source_format"], told["target_format"] == ("png", "webp")
    assert told["output"] == "out/a.webp"
    assert told["size"] == (shell.folder / "out/a.webp").stat().st_size
    assert told["report"]["checks"]


def test_many_pages_become_a_zip_that_is_named_so(shell: Shell) -> None:
    pdfs.make(shell.folder / "a.pdf", pages=3)
    done = shell("convert", "a.pdf", "png", "-o", "pages.png")
    assert done.returncode == 0, done.stderr
    assert shell.files == {"a.pdf", "pages.zip"}
    with zipfile.ZipFile(shell.folder / "pages.zip") as archive:
        assert len(archive.namelist()) == 3


def test_files_are_replaced_only_when_asked(shell: Shell) -> None:
    images.make("png", shell.folder / "a.png")
    (shell.folder / "a.jpg").write_text("precious")
    done = shell("convert", "a.png", "jpg")
    assert done.returncode == 2
    assert b"--force" in done.stderr
    assert (shell.folder / "a.jpg").read_text() == "precious"
    before = (shell.folder / "a.png").read_bytes()
    assert shell("convert", "a.png", "png", "-o", "a.png", "--force").returncode == 2
    assert (shell.folder / "a.png").read_bytes() == before
    for arguments in (("--force",), ("-o", "a.jpg")):
        (shell.folder / "a.jpg").write_text("precious")
        assert shell("convert", "a.png", "jpg", *arguments).returncode == 0
        with Image.open(shell.folder / "a.jpg") as image:
            assert image.format == "JPEG"


@pytest.mark.parametrize(
    ("arguments", "code", "status"),
    [
        (("a.png", "nonsense"), "unsupported_route", 2),
        (("a.png", "jpg", "--option", "colour=red"), "bad_options", 2),
        (("a.png", "jpg", "--option", "quality=900"), "bad_options", 2),
        (("a.png", "jpg", "--option", "quality"), "bad_request", 2),
        (("a.png", "jpg", "-o", "nowhere/a.jpg"), "bad_request", 2),
        (("broken.png", "jpg"), "file_invalid", 1),
        (("empty.png", "jpg"), "file_invalid", 1),
    ],
)
def test_errors_are_clear(shell: Shell, arguments: tuple, code: str, status: int) -> None:
    whole = images.make("png", shell.folder / "a.png").read_bytes()
    (shell.folder / "broken.png").write_bytes(whole[: len(whole) // 2])
    (shell.folder / "empty.png").touch()
    before = shell.files
    error = shell.json("convert", *arguments, code=status)["error"]
    assert error["code"] == code
    told = shell("convert", *arguments)
    assert told.returncode == status
    assert error["message"] in told.stderr.decode()
    assert b"/v1/" not in told.stderr
    assert told.stdout == b""
    assert shell.files == before


def test_a_missing_file_is_a_usage_error(shell: Shell) -> None:
    assert shell("convert", "none.png", "jpg").returncode == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_engine_and_leaves_nothing(shell: Shell, number: signal.Signals) -> None:
    media.make("mp4", shell.folder / "long.mp4", "-vf", "scale=1280:720", seconds=60)
    running = subprocess.Popen(
        [*COMMAND, "convert", "long.mp4", "webm"], cwd=shell.folder, env=shell.env
    )
    room = wait_for(lambda: list(shell.temporary.rglob("out.webm")))[0]
    engines = users_of(room.parent)
    assert engines, "no engine runs in the private directory"
    running.send_signal(number)
    assert running.wait(10) == 130
    assert shell.files == {"long.mp4"}
    assert not list(shell.temporary.iterdir())
    assert eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in engines))


def test_progress_on_a_terminal_rises_to_100(shell: Shell) -> None:
    media.make("mp4", shell.folder / "a.mp4", "-vf", "scale=640:480", seconds=10)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "convert", "a.mp4", "webm"],
        cwd=shell.folder,
        env={**shell.env, "TERM": "xterm", "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=theirs,
    ) as running:
        os.close(theirs)
        shown = b"".join(iter(lambda: read(ours), b""))
    os.close(ours)
    assert running.returncode == 0, shown
    percents = [int(found) for found in re.findall(rb"(\d+)%", shown)]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert any(0 < percent < 100 for percent in percents)


def test_formats_lists_what_this_host_converts(shell: Shell) -> None:
    rows = {row["format"]: row for row in shell.json("formats")["categories"]["image"]}
    assert rows["png"]["reads"]
    assert "image/png" in rows["png"]["media_types"]
    targets = {row["target"]: row for row in shell.json("formats", "PNG")["targets"]}
    assert targets["jpg"]["options"]["properties"]["quality"]["maximum"] == 100
    assert b"jpg" in shell("formats", "png").stdout
    assert shell.json("formats", "nonsense", code=2)["error"]["code"] == "unsupported_route"


def test_doctor_names_engines_and_tools(shell: Shell) -> None:
    told = shell.json("doctor")
    assert told["usable"]
    engines = {engine["name"]: engine for engine in told["engines"]}
    assert engines["vips"]["available"]
    tools = {tool["name"]: tool for tool in told["tools"]}
    assert "pandoc 3" in tools["pandoc"]["version"]
    assert "ffmpeg version" in tools["ffmpeg"]["version"]
    assert len(told["sandbox"]) > 5
    assert all(proof["holds"] for proof in told["sandbox"]), told["sandbox"]
    assert b"attacked" in shell("doctor").stdout


def test_keys_print_only_the_secret(shell: Shell) -> None:
    made = shell("keys", "create", "bob")
    secret = made.stdout.decode().strip()
    assert re.fullmatch(r"ctf_sk_[\w-]{20,}", secret)
    rotated = shell("keys", "rotate", "bob").stdout.decode().strip()
    assert re.fullmatch(r"ctf_sk_[\w-]{20,}", rotated)
    assert rotated != secret
    (listed,) = shell.json("keys", "list")["keys"]
    assert (listed["name"], listed["plan"], listed["revoked_at"]) == ("bob", "unlimited", None)
    text = shell("keys", "list").stdout.decode()
    for whole, told in zip((rotated, secret), listed["secrets"], strict=True):
        assert whole.startswith(told["prefix"])
        assert told["prefix"] + "..." in text
        assert whole not in text
    assert shell("keys", "revoke", "bob").returncode == 0
    (listed,) = shell.json("keys", "list")["keys"]
    assert listed["revoked_at"]
    assert not listed["secrets"]
    assert shell("keys", "revoke", "nobody").returncode == 1


@pytest.mark.parametrize(
    "arguments", [["--help"], ["formats"], ["doctor"], ["convert", "a.png", "jpg"]]
)
def test_local_commands_load_no_server(shell: Shell, arguments: list[str]) -> None:
    images.make("png", shell.folder / "a.png")
    script = f"""
import sys
from filemill.__main__ import main
sys.argv[1:] = {arguments!r}
try:
    main()
finally:
    print("LOADED", *sorted(sys.modules), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=shell.folder,
        env=shell.env,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stderr.rpartition("LOADED")[2].split())
    assert "filemill" in loaded
    heavy = {"dbos", "sqlalchemy", "fastapi", "uvicorn", "pyvips", "PIL.Image", "duckdb", "av"}
    assert not loaded & heavy


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other side is closed
        return b""


def wait_for(ready, seconds: float = 60):
    end = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def users_of(folder: Path) -> list[int]:
    """Processes whose working directory is `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink() == folder:
                found.append(int(entry.name))
        except OSError:
            continue
    return found
