"""From a source and a target format to a `Plan`. Floor 1, pure.

The engines' routes are the edges of a graph; a plan is the path with the least
loss, then the least cost, of at most `MAX_STEPS` edges. A path through a raster
image to something editable is taken only when there is no other, and the plan
says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from filemill.engine import Engine, Option, Route
from filemill.errors import BadOptions, UnsupportedRoute
from filemill.formats.table import FORMATS
from filemill.model import Format, Plan, Step

MAX_STEPS = 3
RASTERIZED = "There is no other way than through an image: text becomes pixels."


@dataclass(frozen=True, slots=True)
class Edge:
    engine: Engine
    route: Route


Path = tuple[Edge, ...]
Weight = tuple[bool, float, float, int]
"""Makes pixels of what is to be edited, loss, cost, steps: the least is best."""
START: Weight = (False, 0.0, 0.0, 0)


class Graph:
    """The routes of the engines that this host has."""

    def __init__(self, engines: Iterable[Engine]) -> None:
        self.engines: Mapping[str, Engine] = {engine.name: engine for engine in engines}
        self._edges: dict[str, dict[str, Edge]] = {}
        for engine in self.engines.values():
            for route in engine.routes:
                # Between two formats only the best engine counts; ties go to the first listed.
                best = self._edges.setdefault(route.source, {})
                known = best.get(route.target)
                if known is None or (route.loss, route.cost) < (known.route.loss, known.route.cost):
                    best[route.target] = Edge(engine, route)
        self._paths: dict[str, Mapping[str, Path]] = {}

    @property
    def sources(self) -> tuple[str, ...]:
        """Ids of the formats that can be converted."""
        return tuple(format_id for format_id in FORMATS if format_id in self._edges)

    def targets(self, source: str) -> tuple[str, ...]:
        """Ids of the formats that `source` can become."""
        found = self._from(source)
        return tuple(format_id for format_id in FORMATS if format_id in found)

    def path(self, source: str, target: str) -> Path:
        """The best path. Raises `UnsupportedRoute`."""
        path = self._from(source).get(target)
        if path is None:
            raise UnsupportedRoute(
                f"{source} cannot be converted to {target} here.",
                hint=f"GET /v1/formats/{source} lists what it can become."
                if source in self._edges
                else "GET /v1/formats lists the formats that can be converted.",
            )
        return path

    def options(self, source: str, target: str) -> dict[str, Option]:
        """Every option a client may give for this pair, by name."""
        return {
            option.name: option
            for edge in self.path(source, target)
            for option in _taken(edge, source)
        }

    def plan(self, source: str, target: str, options: Mapping[str, Any] | None = None) -> Plan:
        """Raises `UnsupportedRoute` (no path) or `BadOptions` (a name or value not declared)."""
        path = self.path(source, target)
        given = _checked(options or {}, self.options(source, target), source, target)
        steps: list[Step] = []
        # An option goes to the last step that takes it: dpi to the step that draws the pages.
        for edge in reversed(path):
            route = edge.route
            names = {option.name for option in _taken(edge, source)}
            taken = {name: given.pop(name) for name in sorted(names & given.keys())}
            steps.insert(0, Step(edge.engine.name, route.source, route.target, taken, route.cost))
        return Plan(
            source=source,
            target=target,
            steps=tuple(steps),
            losses=tuple(dict.fromkeys(loss for edge in path for loss in edge.route.losses)),
            notes=(RASTERIZED,) if _rasterizes(path) else (),
        )

    def _from(self, source: str) -> Mapping[str, Path]:
        """The best path from `source` to everything within reach; found when first asked for."""
        if (known := self._paths.get(source)) is not None:
            return known
        best: dict[str, tuple[Weight, Path]] = {}
        # The best path of each length to a format, with and without a picture on the way.
        reached: dict[tuple[str, bool], tuple[Weight, Path]] = {(source, False): (START, ())}
        for _ in range(MAX_STEPS):
            further: dict[tuple[str, bool], tuple[Weight, Path]] = {}
            for (here, pictured), ((_, loss, cost, length), path) in reached.items():
                pictured = pictured or (here != source and FORMATS[here].raster)
                for target, edge in self._edges.get(here, {}).items():
                    if target == source and path:
                        continue
                    if FORMATS[target].text and (pictured or FORMATS[source].raster):
                        continue  # words cannot be read off a picture by changing its format
                    weight = (
                        pictured and FORMATS[target].editable,
                        loss + edge.route.loss,
                        cost + edge.route.cost,
                        length + 1,
                    )
                    state = target, pictured
                    if state not in further or weight < further[state][0]:
                        further[state] = weight, (*path, edge)
            for (target, _), found in further.items():
                if not _makes_sense(FORMATS[source], FORMATS[target], found[1]):
                    continue
                if target not in best or found[0] < best[target][0]:
                    best[target] = found
            reached = further
        self._paths[source] = {target: path for target, (_, path) in best.items()}
        return self._paths[source]


def _taken(edge: Edge, uploaded: str) -> Iterator[Option]:
    """The options that a step takes on the way from the format `uploaded`, where no path returns
    to."""
    for option in edge.engine.options_for(edge.route.source, edge.route.target):
        if edge.route.source == uploaded or not option.of_upload:
            yield option


def _makes_sense(source: Format, target: Format, path: Path) -> bool:
    """Whether anybody could want this: a path of possible steps is not always a conversion."""
    if source.timed == target.timed:
        return True
    # Between what plays and what stands still: a picture may become a film and a film a picture,
    # a page neither.
    return len(path) == 1 or (source.timed and target.raster)


def _rasterizes(path: Path) -> bool:
    """Whether an editable target is reached through a picture."""
    middle = [FORMATS[edge.route.target] for edge in path[:-1]]
    return FORMATS[path[-1].route.target].editable and any(format.raster for format in middle)


def _checked(
    given: Mapping[str, Any], declared: Mapping[str, Option], source: str, target: str
) -> dict[str, Any]:
    """`given` with text made into the declared types (query parameters are text)."""
    from jsonschema import Draft202012Validator  # late: slow to load, and often not needed

    checked: dict[str, Any] = {}
    for name, value in given.items():
        option = declared.get(name)
        if option is None:
            known = ", ".join(sorted(declared)) or "none"
            raise BadOptions(
                f"{source} to {target} has no option {name[:40]!r}.",
                hint=f"Its options are: {known}.",
                details={"option": name[:40]},
            )
        value = _coerced(value, option.schema.get("type"))
        if isinstance(value, float) and not math.isfinite(value):
            value = str(value)  # passes every minimum and maximum, but is no number in JSON
        errors = list(Draft202012Validator(option.schema).iter_errors(value))
        if errors:
            raise BadOptions(
                f"Option {name!r}: {errors[0].message[:200]}.",
                hint=option.description,
                details={"option": name, "schema": dict(option.schema)},
            )
        checked[name] = value
    return checked


def _coerced(value: Any, kind: Any) -> Any:
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)  # JSON Schema takes 10.0 for an integer; engines do not
    if not isinstance(value, str):
        return value
    try:
        if kind == "integer":
            return int(value)
        if kind == "number":
            return float(value)
    except ValueError:
        return value
    if kind == "boolean":
        return {"true": True, "1": True, "false": False, "0": False}.get(value.lower(), value)
    return value


def option_schema(options: Mapping[str, Option]) -> dict[str, Any]:
    """One JSON Schema for all of them: an object with a property an option."""
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            name: {"description": option.description, **option.schema}
            for name, option in sorted(options.items())
        },
    }
