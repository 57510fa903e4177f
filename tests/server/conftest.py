from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import imageio_ffmpeg
import pytest

from server.running import Server

# Two processes of LibreOffice that wait, a server: half of a start's work, and few tests need one.
os.environ.setdefault("FILEMILL_WARM_OFFICE", "0")
# A film holds its slot to its end, where a test does not say otherwise.
os.environ.setdefault("FILEMILL_PART_SECONDS", "1000")

LAVFI = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i"]
X264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server") / "data") as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture(scope="session")
def png(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small picture with all colours of a gradient."""
    from PIL import Image

    path = tmp_path_factory.mktemp("png") / "picture.png"
    Image.radial_gradient("L").convert("RGB").save(path)
    return path


@pytest.fixture(scope="session")
def film_short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Takes about a second to become a webm."""
    path = tmp_path_factory.mktemp("film") / "short.mp4"
    subprocess.run(
        [*LAVFI, "testsrc2=size=640x360:rate=30:duration=3", *X264, str(path)],
        check=True,
    )
    return path


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Takes most of a minute to become a webm, in one piece: it holds its slot."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    subprocess.run(
        [*LAVFI, "testsrc2=size=1280x720:rate=30:duration=60", *X264, str(path)],
        check=True,
    )
    return path
