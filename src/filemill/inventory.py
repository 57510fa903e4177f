"""Which engines this host can run, and what the others lack. Floor 1.

Decided once, at start, from what is found on the disk; nothing is started or imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from filemill.engine import Engine
from filemill.planner import Graph


@dataclass(frozen=True, slots=True)
class Missing:
    """An engine that cannot run here."""

    engine: Engine
    what: tuple[str, ...]
    """Names of the tools and Python modules that were not found."""
    hints: tuple[str, ...]
    """How to get them."""
    lost: Mapping[str, tuple[str, ...]]
    """Source format -> targets that no other way leads to on this host."""

    def to_json(self) -> dict[str, Any]:
        return {
            "engine": self.engine.name,
            "missing": list(self.what),
            "hints": list(self.hints),
            "lost": {source: list(targets) for source, targets in self.lost.items()},
        }


@dataclass(frozen=True, slots=True)
class Inventory:
    engines: tuple[Engine, ...]
    """Those that can run, in order of preference."""
    tools: Mapping[str, Path]
    """Tool name -> its program."""
    reads: tuple[Path, ...]
    """Folders that these tools must be able to read."""
    missing: tuple[Missing, ...]

    @classmethod
    def of(cls, engines: Iterable[Engine], *, landlock: bool = True) -> Inventory:
        """`landlock`: whether the kernel has it, or the operator does without."""
        engines = tuple(engines)
        if not landlock:
            engines = tuple(
                replace(
                    engine,
                    routes=tuple(route for route in engine.routes if not route.needs_landlock),
                )
                for engine in engines
            )
        found = {tool: tool.find() for engine in engines for tool in engine.tools}
        lacks = {
            engine.name: (
                tuple(tool for tool in engine.tools if found[tool] is None),
                tuple(module for module in engine.modules if find_spec(module) is None),
            )
            for engine in engines
        }
        usable = tuple(engine for engine in engines if not any(lacks[engine.name]))
        graph = Graph(usable)
        missing: list[Missing] = []
        for engine in engines:
            tools, modules = lacks[engine.name]
            if tools or modules:
                what = tuple(tool.name for tool in tools) + modules
                hints = tuple(tool.hint for tool in tools)
                if modules:
                    hints += ("Install the packages of requirements.lock again.",)
                missing.append(Missing(engine, what, hints, _lost(engine, graph)))
        programs = {tool: path for tool, path in found.items() if path is not None}
        return cls(
            engines=usable,
            tools={tool.name: path for tool, path in programs.items()},
            reads=tuple(dict.fromkeys(Path(name) for tool in programs for name in tool.reads)),
            missing=tuple(missing),
        )

    @property
    def modules(self) -> tuple[str, ...]:
        """Python modules that the usable engines import in their workers."""
        return tuple(dict.fromkeys(name for engine in self.engines for name in engine.modules))


def _lost(engine: Engine, graph: Graph) -> dict[str, tuple[str, ...]]:
    lost: dict[str, dict[str, None]] = {}
    for route in engine.routes:
        if route.target not in graph.targets(route.source):
            lost.setdefault(route.source, {})[route.target] = None
    return {source: tuple(targets) for source, targets in lost.items()}
