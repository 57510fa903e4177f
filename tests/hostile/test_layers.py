"""Which layer stops what: an attack succeeds when all that stop it are off, and only then."""

from __future__ import annotations

from pathlib import Path

import pytest

from hostile.attacks import ATTACKS
from hostile.layering import (
    EVERYTHING,
    LEAKING,
    OFFICE,
    STOPPED_BY,
    here,
    limits,
    reaches,
    table,
    without,
)
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
    with without(off) as converter:
        came = {
            attack.name: reaches(attack, attack.targets[0], converter, traps, tmp_path)
            for attack in ATTACKS
            if attack.name in names
        }
    assert came == {name: off >= here(STOPPED_BY[name]) for name in names}


def test_the_links_that_are_followed_when_all_is_off(traps: Traps, tmp_path: Path) -> None:
    """One that no longer is proves nothing any more."""
    with without(EVERYTHING) as converter:
        came = {
            attack.name
            for attack in OFFICE
            if attack.name in LEAKING and reaches(attack, "pdf", converter, traps, tmp_path)
        }
    assert came == LEAKING


def test_the_documentation_shows_this() -> None:
    page = Path(__file__).parents[2] / "docs" / "security.md"
    text = page.read_text(encoding="utf-8")
    assert table() in text
    assert limits() in text
