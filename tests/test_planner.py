"""The planner against every path there is, tried one by one."""

from __future__ import annotations

from itertools import pairwise, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filemill.engine import Engine, Route, Work
from filemill.errors import UnsupportedRoute
from filemill.formats import FORMATS
from filemill.planner import MAX_STEPS, RASTERIZED, Graph

NAMES = ("docx", "pdf", "png", "jpg", "md", "html", "odt")
ROUTES = st.builds(
    Route,
    st.sampled_from(NAMES),
    st.sampled_from(NAMES),
    loss=st.sampled_from([0.0, 1.0, 3.0, 5.0, 20.0]),
    cost=st.sampled_from([1.0, 10.0]),
)


def weight(path: tuple[Route, ...]) -> tuple[bool, float, float, int]:
    rasterizes = FORMATS[path[-1].target].editable and any(
        FORMATS[route.target].raster for route in path[:-1]
    )
    loss, cost = sum(route.loss for route in path), sum(route.cost for route in path)
    return rasterizes, loss, cost, len(path)


@settings(deadline=None)
@given(st.lists(ROUTES, max_size=14), st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_the_plan_is_the_best_of_all_paths(routes: list[Route], source: str, target: str) -> None:
    graph = Graph([Engine("e", "E", tuple(routes), lambda task: Work((), ()))])
    between: dict[tuple[str, str], Route] = {}
    for route in routes:
        pair = route.source, route.target
        if pair not in between or (route.loss, route.cost) < (
            between[pair].loss,
            between[pair].cost,
        ):
            between[pair] = route
    ways = []
    for length in range(MAX_STEPS):
        for middle in permutations(
            [name for name in NAMES if name not in (source, target)], length
        ):
            stops = (source, *middle, target)
            pairs = list(pairwise(stops))
            if all(pair in between for pair in pairs) and (source != target or not middle):
                ways.append(tuple(between[pair] for pair in pairs))
    if not ways or (FORMATS[source].raster and FORMATS[target].text):
        with pytest.raises(UnsupportedRoute):
            graph.plan(source, target)
        assert target not in graph.targets(source)
        return
    best = min(map(weight, ways))
    plan = graph.plan(source, target)
    taken = tuple(between[step.source, step.target] for step in plan.steps)
    assert weight(taken) == best
    assert (RASTERIZED in plan.notes) == best[0]
