"""What can be converted into what, as JSON for HTTP and the command line. Floor 1, pure."""

from __future__ import annotations

from typing import Any

from filemill.formats.table import FORMATS
from filemill.planner import Graph, option_schema


def formats(graph: Graph) -> dict[str, Any]:
    """Every format that this host reads or writes, by category."""
    written = {target for source in graph.sources for target in graph.targets(source)}
    categories: dict[str, list[dict[str, Any]]] = {}
    for row in FORMATS.values():
        reads, writes = row.id in graph.sources, row.id in written
        if reads or writes:
            categories.setdefault(row.category.value, []).append(
                {
                    "format": row.id,
                    "title": row.title,
                    "category": row.category.value,
                    "extensions": list(row.extensions),
                    "media_types": list(row.media_types),
                    "reads": reads,
                    "writes": writes,
                }
            )
    return {"categories": categories}


def targets(graph: Graph, source: str) -> dict[str, Any]:
    """All that `source` can become; no targets for what nothing here reads."""
    return {
        "source": source,
        "targets": [target(graph, source, wanted) for wanted in graph.targets(source)],
    }


def target(graph: Graph, source: str, wanted: str) -> dict[str, Any]:
    """One conversion: its route, losses and options. Raises `UnsupportedRoute`."""
    plan = graph.plan(source, wanted)
    return {
        "target": wanted,
        "route": [source, *(step.target for step in plan.steps)],
        "engines": [step.engine for step in plan.steps],
        "losses": list(plan.losses),
        "notes": list(plan.notes),
        "options": option_schema(graph.options(source, wanted)),
    }
