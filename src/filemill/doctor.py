"""What works on this host: engines, their tools, and the sandbox proven by attack."""

from __future__ import annotations

import platform
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import filemill
from filemill.engine import Engine
from filemill.engines import ENGINES
from filemill.inventory import Missing
from filemill.sandbox.proofs import Proof, prove
from filemill.workshop import Workshop


@dataclass(frozen=True, slots=True)
class Program:
    """A tool that was found."""

    name: str
    path: Path
    version: str | None
    """The first line it says of itself; None: it does not start."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    engines: tuple[Engine, ...]
    """All there are."""
    missing: tuple[Missing, ...]
    tools: tuple[Program, ...]
    proofs: tuple[Proof, ...]
    """What attacks on the sandbox met, each layer's own."""

    @property
    def usable(self) -> bool:
        """Whether anything can be converted. A layer that does not hold is told, but no obstacle:
        old kernels lack some."""
        return len(self.missing) < len(self.engines)

    def to_json(self) -> dict[str, Any]:
        lacks = {lack.engine.name: lack.to_json() for lack in self.missing}
        return {
            "usable": self.usable,
            "version": filemill.__version__,
            "python": platform.python_version(),
            "engines": [
                {
                    "name": engine.name,
                    "title": engine.title,
                    "available": engine.name not in lacks,
                    "routes": len(engine.routes),
                    **lacks.get(engine.name, {}),
                }
                for engine in self.engines
            ],
            "tools": [{**asdict(tool), "path": str(tool.path)} for tool in self.tools],
            "sandbox": [asdict(proof) for proof in self.proofs],
        }


def examine(workshop: Workshop) -> Diagnosis:
    """Raises `ServiceUnavailable` when the sandbox cannot start processes at all."""
    inventory = workshop.inventory
    with workshop.open(preload=False) as converter:
        proofs = prove(converter.sandbox)
    return Diagnosis(
        engines=ENGINES,
        missing=inventory.missing,
        tools=tuple(Program(name, path, _version(path)) for name, path in inventory.tools.items()),
        proofs=proofs,
    )


def _version(program: Path) -> str | None:
    for flag in ("--version", "-version"):  # FFmpeg knows only the second
        with TemporaryDirectory(prefix="filemill-") as home:
            try:
                said = subprocess.run(  # noqa: S603
                    [program, flag],
                    capture_output=True,
                    text=True,
                    errors="replace",
                    timeout=20,
                    stdin=subprocess.DEVNULL,
                    env={"HOME": home, "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
                )
            except (OSError, subprocess.TimeoutExpired):
                return None
        if said.returncode == 0 and said.stdout.strip():
            return said.stdout.strip().splitlines()[0].partition(" Copyright")[0]
    return None
