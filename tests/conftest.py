"""The real thing for every test: all engines of this host behind one sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from databases import database_url, own_postgres, postgres
from filemill.conversion import Converter, Result
from filemill.planner import Graph
from filemill.workshop import Workshop

LONGEST = (
    *("hostile/test_attacks.py", "engines/test_ffmpeg.py", "server/test_webhooks.py"),
    *("server/test_parts.py", "hostile/test_http.py", "engines/test_libreoffice.py"),
    *("durable/test_durable.py", "test_cli.py", "engines/test_pandoc.py", "engines/test_tables.py"),
    *("hostile/test_soak.py", "blobs/test_blobs.py", "server/test_crash.py"),
    *("server/test_uploads.py", "hostile/test_layers.py", "server/test_listening.py"),
    *("server/test_limits.py", "outbound/test_client.py", "server/test_transfers.py"),
)
"""The files that take longest. They are done first, so that no worker has one of them left when
all others are through."""

__all__ = ["converter", "database_url", "own_postgres", "postgres"]


# The same cases each time, however slow the machine is.
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True)
hypothesis.settings.load_profile("suite")


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
