"""The real thing for every test: all engines of this host behind one sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from databases import database_url, postgres
from filemill.conversion import Converter, Result
from filemill.planner import Graph
from filemill.workshop import Workshop

__all__ = ["converter", "database_url", "postgres"]


@pytest.fixture(scope="session")
def converter() -> Iterator[Converter]:
    with Workshop.here().open(preload=True, threads=2) as converter:
        yield converter


@pytest.fixture
def convert(converter: Converter, tmp_path: Path) -> Callable[..., Result]:
    """convert(path, source, target, **options): the best plan, for real, in the sandbox."""
    graph = Graph(converter.engines.values())
    rooms = iter(range(1000))

    def run(path: Path, source: str, target: str, **options: object) -> Result:
        room = tmp_path / f"room{next(rooms)}"
        room.mkdir()
        return converter.convert(graph.plan(source, target, options), path, room)

    return run
