"""The documentation tells the truth: its snippets run, its tables are the code's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

from filemill.conversion import Converter
from filemill.errors import BY_CODE
from filemill.planner import Graph
from filemill.probes import Probes
from filemill.reference import PAGES
from filemill.sandbox import Box
from filemill.settings import Settings
from server.running import Server

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_up_to_date(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == PAGES[name](), (
        "run: .venv/bin/python -m filemill.reference"
    )


def test_shell_snippets_run(tmp_path: Path, png: Path) -> None:
    (tmp_path / "photo.png").write_bytes(png.read_bytes())
    with Server(tmp_path / "data") as server:
        where = {"FILEMILL_KEY": server.key, "FILEMILL_URL": server.url}
        answers = [
            subprocess.run(
                ["sh", "-ec", snippet.replace("curl ", "curl -sSf ")],
                cwd=tmp_path,
                env={**os.environ, **where},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for snippet in snippets("sh")
        ]
        assert (tmp_path / "photo.webp").read_bytes()[8:12] == b"WEBP"
        assert '"state":"queued"' in answers[1]
        # The line that the server itself prints.
        subprocess.run(["sh", "-ec", server.curl], cwd=tmp_path, check=True)
        assert (tmp_path / "hello.docx").read_bytes()[:2] == b"PK"


def test_the_transcript_is_what_the_server_prints(server: Server) -> None:
    for line in re.findall(r"^    (.*)$", README.partition("    $ ./run\n")[2], re.M)[:4]:
        words = line.strip().split(" ")[0]
        assert words in "filemill Your Try echo"
    assert server.curl.startswith("echo '# Hello' | curl -sS -H")


def test_the_smallest_engine_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "shout.py").write_text(snippets("python")[0].replace("filemill.engines.", ""))
    monkeypatch.syspath_prepend(str(folder))
    module = types.ModuleType("shout")
    exec((folder / "shout.py").read_text(), module.__dict__)
    engine = module.__dict__["ENGINE"]
    room = tmp_path / "room"
    room.mkdir()
    source = tmp_path / "a.txt"
    source.write_text("Guten Tag\n")
    with Box.start({}, reads=[folder], path=[folder]) as box:
        converter = Converter({engine.name: engine}, box, Probes())
        result = converter.convert(Graph([engine]).plan("txt", "txt"), source, room)
    assert result.path.read_text() == "GUTEN TAG\n"


def test_every_setting_in_the_readme_exists() -> None:
    named = set(re.findall(r"FILEMILL_([A-Z_]+)", README)) - {"KEY", "URL"}
    assert named <= {name.upper() for name in Settings.model_fields}


def test_every_error_code_in_the_readme_exists() -> None:
    assert set(re.findall(r'"code": "(\w+)"', README)) <= set(BY_CODE)


def test_the_module_runs_as_the_readme_says() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "filemill", "--help"], capture_output=True, text=True, check=True
    )
    for command in ("serve", "convert", "formats", "doctor", "keys"):
        assert command in ran.stdout
