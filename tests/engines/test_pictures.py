"""The picture engines as the service runs them: planned, sandboxed, probed and verified."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from filemill.conversion import Result
from filemill.engines import pdfium, pillow, vips
from filemill.errors import FileInvalid
from filemill.planner import Graph
from samples import images, pdfs

Convert = Callable[..., Result]
ENGINES = (vips.ENGINE, pillow.ENGINE, pdfium.ENGINE)


@pytest.mark.parametrize("source", images.SOURCES)
def test_each_source(source: str, convert: Convert, tmp_path: Path) -> None:
    target = "png" if source != "png" else "jpg"
    result = convert(images.make(source, tmp_path / "sample"), source, target)
    assert (result.format, result.facts.frames) == (target, 1)


@pytest.mark.parametrize("target", dict.fromkeys((*vips.FORMATS, *pillow.WRITES)))
def test_each_target(target: str, convert: Convert, tmp_path: Path) -> None:
    source = "jpg" if target != "jpg" else "png"
    result = convert(images.make(source, tmp_path / "sample"), source, target)
    assert result.format == target
    assert result.facts.pages == (1 if target == "pdf" else None)


@pytest.mark.parametrize("target", [*pdfium.PICTURES, "txt"])
def test_each_target_of_a_pdf(target: str, convert: Convert, tmp_path: Path) -> None:
    result = convert(pdfs.make(tmp_path / "a.pdf", 3), "pdf", target)
    whole = target in {"tiff", "txt"}
    assert result.format == (target if whole else "zip")
    assert result.facts.entries == (None if whole else 3)


@pytest.mark.parametrize("source", ["jpg", "heic", "pdf"])
def test_a_broken_file_is_told_apart(source: str, convert: Convert, tmp_path: Path) -> None:
    make = pdfs.make if source == "pdf" else lambda path: images.make(source, path)
    whole = make(tmp_path / "sample").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileInvalid):
        convert(tmp_path / "cut", source, "png")


def test_libvips_goes_first() -> None:
    graph = Graph(reversed(ENGINES))
    for source in vips.FORMATS:
        for target in vips.FORMATS:
            if source == target:
                continue
            (edge,) = graph.path(source, target)
            assert edge.engine.name == "vips", (source, target)


def test_a_moving_picture_is_not_led_around_its_loss() -> None:
    graph = Graph(ENGINES)
    for source in ("gif", "webp"):
        for target in {*vips.FORMATS, *pillow.WRITES} - {"gif", "webp"}:
            plan = graph.plan(source, target)
            assert len(plan.steps) == 1
            assert "animation" in plan.losses
