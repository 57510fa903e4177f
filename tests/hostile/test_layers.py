"""Which layer stops what: an attack succeeds when all that stop it are off, and only then."""

from __future__ import annotations

from pathlib import Path

import pytest

from filemill.errors import FilemillError
from filemill.planner import Graph
from hostile.attacks import ATTACKS
from hostile.layering import STOPPED_BY, here, limits, table, without
from hostile.traps import Traps

CASES = [
    (off, name)
    for name, layers in STOPPED_BY.items()
    for off in (here(layers), *(here(layers) - {kept} for kept in sorted(here(layers))))
]


@pytest.mark.parametrize(
    ("off", "names"),
    [
        pytest.param(off, [name for other, name in CASES if other == off], id="+".join(sorted(off)))
        for off in dict.fromkeys(off for off, _ in CASES)
    ],
)
def test_each_of_the_layers_alone_stops_it(
    off: frozenset[str], names: list[str], traps: Traps, tmp_path: Path
) -> None:
    came = {}
    with without(off) as converter:
        graph = Graph(converter.engines.values())
        for attack in (attack for attack in ATTACKS if attack.name in names):
            hits = len(traps.hits)
            file, room = tmp_path / attack.name, tmp_path / f"room-{attack.name}"
            attack.make(file, traps)
            room.mkdir()
            try:
                result = converter.convert(graph.plan(attack.source, attack.targets[0]), file, room)
                read = traps.leaked(result.path)
            except FilemillError:
                read = False
            came[attack.name] = read or len(traps.hits) > hits
    assert came == {name: off >= here(STOPPED_BY[name]) for name in names}


def test_the_documentation_shows_this() -> None:
    page = Path(__file__).parents[2] / "docs" / "security.md"
    text = page.read_text(encoding="utf-8")
    assert table() in text
    assert limits() in text
