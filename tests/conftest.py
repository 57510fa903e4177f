"""The real thing for every test: all engines of this host behind one sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from databases import database_url, postgres
from filemill.conversion import Converter, Result
from filemill.planner import Graph
from filemill.workshop import Workshop

LONGEST = (
    *("hostile/test_soak.py", "server/test_webhooks.py", "server/test_parts.py"),
    *("server/test_crash.py", "durable/test_durable.py", "server/test_openapi.py"),
    *("server/test_limits.py", "server/test_keys.py", "test_cli.py", "blobs/test_blobs.py"),
)
"""Files with few tests that take long. They are done first, so that no worker has one of them
left when all others are through."""

__all__ = ["converter", "database_url", "postgres"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        name = str(item.path.relative_to(Path(__file__).parent))
        return LONGEST.index(name) if name in LONGEST else len(LONGEST)

    items.sort(key=rank)


@pytest.fixture(scope="session")
def converter() -> Iterator[Converter]:
    with Workshop.here().open(preload=True, cores=2) as converter:
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
