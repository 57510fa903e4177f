"""The real thing for every test: all engines of this host behind one sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from filemill.conversion import Converter, Result
from filemill.engines import ENGINES
from filemill.planner import Graph
from filemill.probes import MODULES, probe
from filemill.sandbox import Box


@pytest.fixture(scope="session")
def converter() -> Iterator[Converter]:
    found = {tool.name: tool.find() for engine in ENGINES for tool in engine.tools}
    tools = {name: path for name, path in found.items() if path}
    engines = {
        engine.name: engine
        for engine in ENGINES
        if all(tool.name in tools for tool in engine.tools)
    }
    modules = ["filemill.engines", *MODULES]
    modules += [module for engine in engines.values() for module in engine.modules]
    reads = [Path(f) for engine in engines.values() for tool in engine.tools for f in tool.reads]
    with Box.start(tools, modules, reads=reads) as box:
        yield Converter(engines, box, probe, threads=2)


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
