"""Every engine is gone within a second of being cancelled, and the next conversion is unharmed."""

from __future__ import annotations

import subprocess
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import imageio_ffmpeg
import pytest
import pyvips

from filemill.conversion import Converter
from filemill.engines import ENGINES
from filemill.errors import Cancelled
from filemill.formats import FORMATS
from filemill.model import Step
from filemill.sandbox import Box
from samples import images, pdfs
from sandbox.processes import below, eventually

NOISE = bytes(range(256)) * 4096


def noise(path: Path) -> None:
    picture = pyvips.Image.gaussnoise(4000, 4000, sigma=60, mean=128).cast("uchar")
    picture.bandjoin([picture.rot180(), picture.fliphor()]).write_to_file(str(path))


def table(path: Path) -> None:
    path.write_text("a,b,c,d,e\n" + "1,two,3.5,four,2026-01-01\n" * 400_000)


def words(path: Path) -> None:
    path.write_text("The *quick* brown [fox](http://example.com) jumps.\n\n" * 60_000)


def drawing(path: Path) -> None:
    circle = '<circle cx="500" cy="500" r="490" fill="url(#g)" opacity=".1"/>'
    gradient = '<radialGradient id="g"><stop stop-color="red"/><stop offset="1"/></radialGradient>'
    path.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 1000">'
        f"<defs>{gradient}</defs>{circle * 3000}</svg>"
    )


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as packed:
        for number in range(100):
            packed.writestr(str(number), number.to_bytes() + NOISE[number:])


def film(path: Path) -> None:
    picture = "testsrc2=size=1280x720:rate=30:duration=20"
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", picture]
    subprocess.run([*argv, "-c:v", "libx264", "-preset", "ultrafast", path], check=True)


SLOW: dict[str, tuple[str, str, Callable[[Path], object]]] = {
    "tables": ("csv", "xlsx", table),
    "libreoffice": ("txt", "pdf", words),
    "pandoc": ("md", "docx", words),
    "vips": ("png", "webp", noise),
    "pillow": ("png", "jxl", noise),
    "pdfium": ("pdf", "png", lambda path: pdfs.make(path, 500)),
    "archives": ("zip", "7z", archive),
    "drawings": ("svg", "png", drawing),
    "ffmpeg": ("mp4", "webm", film),
}
"""By engine: what takes it some seconds."""
MEANWHILE = 0.5
"""Seconds that it works before."""


@dataclass
class Cancel:
    """A `Stopped` that says so once `MEANWHILE` has passed since its first look."""

    looked: list[float] = field(default_factory=list)
    said: float = 0.0

    def __call__(self) -> bool:
        now = time.monotonic()
        self.looked.append(now)
        if now - self.looked[0] < MEANWHILE:
            return False
        self.said = self.said or now
        return True


def innocent(converter: Converter, room: Path) -> None:
    room.mkdir(mode=0o700)
    images.make("png", room / "in.png")
    assert converter.step(Step("vips", "png", "jpg"), room).facts.width


def test_every_engine_has_a_slow_file() -> None:
    assert set(SLOW) == {engine.name for engine in ENGINES}


@pytest.mark.parametrize("engine", SLOW)
def test_cancelled_within_a_second(engine: str, converter: Converter, tmp_path: Path) -> None:
    if engine not in converter.engines:
        pytest.skip(f"{engine} is not on this host")
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o711)
    source, target, make = SLOW[engine]
    room = tmp_path / "room"
    room.mkdir(mode=0o700)
    make(room / f"in.{FORMATS[source].extension}")
    assert isinstance(converter.sandbox, Box)
    innocent(converter, tmp_path / "before")
    before = below(converter.sandbox.server)
    cancel = Cancel()
    with pytest.raises(Cancelled):
        converter.step(Step(engine, source, target), room, stopped=cancel)
    assert time.monotonic() - cancel.said < 1.0
    innocent(converter, tmp_path / "after")
    assert eventually(lambda: len(below(converter.sandbox.server)) <= len(before))
