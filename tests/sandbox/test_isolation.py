"""Every attack of `proofs` is stopped, and which layer it is that stops it."""

from __future__ import annotations

import os

import pytest

from filemill.sandbox import Box
from filemill.sandbox.confine import LAYERS
from filemill.sandbox.proofs import prove

ROOT = os.geteuid() == 0
FILES = {"reads no other file", "writes no other file", "changes no other file"}
SIZES = {"memory is limited", "file size is limited"}


def broken(*off: str) -> set[str]:
    with Box.start({}, layers=LAYERS - set(off)) as box:
        found = prove(box)
    assert len(found) == 14
    assert not [proof.detail for proof in found if "could not be tried" in proof.detail]
    return {proof.name for proof in found if not proof.holds}


def test_every_attack_is_stopped():
    assert broken() == set()


@pytest.mark.parametrize(
    ("off", "stopped"),
    [
        (("landlock",), FILES),
        (("seccomp",), {"no UDP", "no socket file", "no new namespace"}),
        (("limits",), {*SIZES, "processes are limited"}),
        (("seccomp", "landlock"), {*FILES, "no TCP", "no UDP", "no abstract socket"}),
        (
            ("user", "landlock"),
            {*FILES, "no signal to the server", "no look at the server's environment"},
        ),
    ],
    ids="+".join,
)
def test_without_a_layer_its_attacks_succeed(off, stopped):
    """So a layer that does nothing is noticed. Two layers stop some attacks: both are off, then."""
    assert broken(*off) >= stopped


@pytest.mark.skipif(not ROOT, reason="only root gives processes users of their own")
def test_user_layer_counts_processes():
    """RLIMIT_NPROC means nothing to root."""
    assert broken("user") == {"processes are limited"}


def test_only_descendants_are_left_to_the_fork_server():
    """That nothing outlives a process is no layer: it holds without any."""
    assert "nothing outlives it" not in broken(*LAYERS)
