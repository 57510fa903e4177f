"""pandoc through the sandbox: every route; results are read by other libraries."""

from __future__ import annotations

from pathlib import Path

import pytest

from filemill.conversion import Converter
from filemill.engines.pandoc import ENGINE
from filemill.errors import FileInvalid
from filemill.formats import FORMATS
from filemill.model import Step
from samples import documents as samples
from samples import reading

ROUTES = sorted({(route.source, route.target) for route in ENGINE.routes})


def run(converter: Converter, room: Path, path: Path, source: str, target: str) -> str:
    room.mkdir(mode=0o700)
    (room / f"in.{FORMATS[source].extension}").write_bytes(path.read_bytes())
    result = converter.step(Step("pandoc", source, target), room)
    assert result.format == target
    return reading.words(result.path, target)


@pytest.mark.parametrize("source", sorted({source for source, _ in ROUTES}))
def test_every_route_from(converter: Converter, tmp_path: Path, source: str) -> None:
    path = samples.make(source, tmp_path / f"sample.{source}")
    targets = [target for from_, target in ROUTES if from_ == source]
    lost = [t for t in targets if "fox" not in run(converter, tmp_path / t, path, source, t)]
    assert not lost


def test_a_csv_that_says_its_separator(converter: Converter, tmp_path: Path) -> None:
    path = tmp_path / "said.csv"
    path.write_text("sep=;\na;b\n1,5;2\n")
    html = run(converter, tmp_path / "html", path, "csv", "html")
    assert "a b 1,5 2" in html
    assert "sep=" not in html


def test_files_are_not_included(converter: Converter, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret fox")
    secret.chmod(0o644)
    for source, text in (
        ("rst", f"seen\n\n.. include:: {secret}\n"),
        ("tex", f"seen \\input{{{secret}}}"),
        ("org", f"seen\n\n#+INCLUDE: {secret}\n"),
        ("md", f"seen ![]({secret})"),
    ):
        path = tmp_path / f"in.{source}"
        path.write_text(text)
        found = run(converter, tmp_path / source, path, source, "txt")
        assert "seen" in found
        assert "secret fox" not in found


@pytest.mark.parametrize("source", ["docx", "epub", "ipynb", "docbook"])
def test_truncated(converter: Converter, tmp_path: Path, source: str) -> None:
    path = samples.make(source, tmp_path / f"sample.{source}")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(FileInvalid):
        run(converter, tmp_path / "room", path, source, "html")
