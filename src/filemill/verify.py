"""Judging a result by what probes read out of it and of its source. Floor 1, pure.

An engine's exit status 0 is not success: LibreOffice returns it for files it
could not load, ffmpeg for an empty mp3. So every result is probed (in the
sandbox, since it was made from a hostile file) and judged here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from filemill.model import Facts, Step


@dataclass(frozen=True, slots=True)
class Verdict:
    checks: tuple[str, ...]
    """What was compared and found right, for the job's report."""
    problem: str | None = None
    """What is wrong with the result; None: nothing."""

    def to_json(self) -> Mapping[str, Any]:
        return {"checks": list(self.checks)}


def verify(step: Step, source: Facts, result: Facts) -> Verdict:
    raise NotImplementedError
