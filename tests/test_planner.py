"""The planner, on graphs of its own and against brute force."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise, permutations
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from filemill.engine import Engine, Loss, Option, Route, Task, Work
from filemill.engines import ENGINES
from filemill.errors import BadOptions, UnsupportedRoute
from filemill.formats import FORMATS
from filemill.model import Plan
from filemill.planner import MAX_STEPS, RASTERIZED, Graph, option_schema


def _build(_: Task) -> Work:
    raise AssertionError("planning builds nothing")


def engine(name: str, *routes: Route, options: tuple[Option, ...] = ()) -> Engine:
    return Engine(name, name.title(), routes, _build, options=options)


def graph(*routes: Route) -> Graph:
    return Graph([engine("one", *routes)])


def way(plan: Plan) -> list[str]:
    return [plan.steps[0].source, *(step.target for step in plan.steps)]


def test_least_loss_then_least_cost_then_fewest_steps() -> None:
    routes = (
        Route("md", "pdf", Loss.FLATTENED, 1),
        Route("md", "html", 1, 10),
        Route("html", "pdf", 1, 10),
        Route("md", "docx", 1, 5),
        Route("docx", "pdf", 1, 5),
    )
    assert way(graph(*routes).plan("md", "pdf")) == ["md", "docx", "pdf"]
    assert way(graph(*routes[:3]).plan("md", "pdf")) == ["md", "html", "pdf"]
    assert way(graph(routes[0]).plan("md", "pdf")) == ["md", "pdf"]
    equal = Route("md", "pdf", 2, 10)
    assert way(graph(*routes, equal).plan("md", "pdf")) == ["md", "pdf"]


def test_between_two_formats_the_best_engine_counts_and_ties_go_to_the_first() -> None:
    poor, first, second = (
        engine(name, Route("md", "pdf", loss)) for name, loss in (("a", 5), ("b", 1), ("c", 1))
    )
    assert Graph([poor, first, second]).plan("md", "pdf").steps[0].engine == "b"


def test_at_most_three_steps() -> None:
    chain = ("md", "html", "odt", "docx", "pdf")
    routes = [Route(*pair) for pair in pairwise(chain)]
    planner = graph(*routes)
    assert way(planner.plan("md", "docx")) == list(chain[:4])
    with pytest.raises(UnsupportedRoute):
        planner.plan("md", "pdf")
    assert planner.targets("md") == tuple(f for f in FORMATS if f in {"html", "odt", "docx"})


def test_through_an_image_only_when_there_is_no_other_way() -> None:
    through = (Route("pdf", "png", 0, 1), Route("png", "docx", 0, 1))
    plan = graph(*through).plan("pdf", "docx")
    assert way(plan) == ["pdf", "png", "docx"]
    assert plan.notes == (RASTERIZED,)
    other = (Route("pdf", "html", 20, 100), Route("html", "docx", 20, 100))
    plan = graph(*through, *other).plan("pdf", "docx")
    assert way(plan) == ["pdf", "html", "docx"]
    assert plan.notes == ()


def test_image_on_the_way_to_an_image_is_no_matter() -> None:
    plan = graph(Route("pdf", "png"), Route("png", "webp")).plan("pdf", "webp")
    assert (way(plan), plan.notes) == (["pdf", "png", "webp"], ())


def test_direct_way_is_not_hidden_by_a_longer_one_that_makes_no_sense() -> None:
    """A page does not become a film by two steps, even if they lose less than the one."""
    routes = (
        Route("pdf", "mp4", Loss.CONTENT, 100),
        Route("pdf", "png", 0, 1),
        Route("png", "mp4", 0, 1),
    )
    assert way(graph(*routes).plan("pdf", "mp4")) == ["pdf", "mp4"]
    with pytest.raises(UnsupportedRoute):
        graph(*routes[1:]).plan("pdf", "mp4")


def test_same_format_only_when_declared() -> None:
    routes = (Route("png", "jpg"), Route("jpg", "png"))
    with pytest.raises(UnsupportedRoute):
        graph(*routes).plan("png", "png")
    assert way(graph(*routes, Route("png", "png", 5, 50)).plan("png", "png")) == ["png", "png"]


def test_unknown_formats() -> None:
    planner = graph(Route("md", "pdf"))
    for pair in (("md", "docx"), ("pdf", "md"), ("none", "pdf"), ("md", "none")):
        with pytest.raises(UnsupportedRoute, match=pair[0]):
            planner.plan(*pair)
    assert planner.sources == ("md",)
    assert planner.targets("pdf") == ()


def test_losses_are_told_once_in_order() -> None:
    planner = graph(
        Route("docx", "pdf", 1, 1, ("structure", "macros")), Route("pdf", "png", 1, 1, ("text",))
    )
    assert planner.plan("docx", "png").losses == ("structure", "macros", "text")
    both = graph(
        Route("docx", "pdf", 1, 1, ("structure",)), Route("pdf", "png", 1, 1, ("structure",))
    )
    assert both.plan("docx", "png").losses == ("structure",)


OPTIONS = (
    Option("dpi", {"type": "integer", "minimum": 10, "maximum": 600}, "Dots per inch."),
    Option("scale", {"type": "number", "exclusiveMinimum": 0}, "Factor."),
    Option("grey", {"type": "boolean"}, "Without colour."),
    Option("name", {"type": "string", "enum": ["a", "b"]}, "A name."),
    Option("pages", {"type": ["string", "integer"]}, "Which.", sources=frozenset({"pdf"})),
    Option("quality", {"type": "integer"}, "How good.", targets=frozenset({"jpg"})),
)


@pytest.fixture
def two_steps() -> Graph:
    return Graph(
        [
            engine("office", Route("docx", "pdf"), options=(OPTIONS[0],)),
            engine("pages", Route("pdf", "png"), Route("pdf", "jpg"), options=OPTIONS),
        ]
    )


def test_option_goes_to_the_last_step_that_takes_it(two_steps: Graph) -> None:
    plan = two_steps.plan("docx", "jpg", {"dpi": 72, "quality": 5, "pages": "1-2"})
    assert [dict(step.options) for step in plan.steps] == [
        {},
        {"dpi": 72, "quality": 5, "pages": "1-2"},
    ]
    assert two_steps.plan("docx", "pdf", {"dpi": 72}).steps[0].options == {"dpi": 72}
    first = Graph(
        [
            engine("office", Route("docx", "pdf"), options=(OPTIONS[0],)),
            engine("pages", Route("pdf", "png")),
        ]
    )
    assert [step.options for step in first.plan("docx", "png", {"dpi": 72}).steps] == [
        {"dpi": 72},
        {},
    ]


def test_what_tells_of_the_upload_goes_to_the_first_step() -> None:
    encoding = Option("encoding", {"type": "string"}, "", of_upload=True)
    both = Graph(
        [engine("one", Route("csv", "md", 1), Route("md", "opml", 1), options=(encoding,))]
    )
    first, second = both.plan("csv", "opml", {"encoding": "cp1251"}).steps
    assert (first.options, second.options) == ({"encoding": "cp1251"}, {})
    later = Graph(
        [engine("a", Route("pdf", "md")), engine("b", Route("md", "opml"), options=(encoding,))]
    )
    assert "encoding" not in later.options("pdf", "opml")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("dpi", "72", 72),
        ("dpi", 72.0, 72),
        ("scale", "1.5", 1.5),
        ("scale", 2, 2),
        ("scale", "2", 2.0),
        ("grey", "true", True),
        ("grey", "False", False),
        ("grey", "0", False),
        ("grey", True, True),
        ("name", "a", "a"),
    ],
)
def test_text_becomes_the_declared_type(two_steps: Graph, name: str, text: Any, value: Any) -> None:
    (step,) = two_steps.plan("pdf", "png", {name: text}).steps
    assert step.options == {name: value}
    assert type(step.options[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dpi", "many"),
        ("dpi", ""),
        ("dpi", 9),
        ("dpi", 601),
        ("dpi", "72.5"),
        ("dpi", True),
        ("dpi", None),
        ("dpi", [72]),
        ("dpi", "9" * 5000),
        ("scale", "nan"),
        ("scale", float("nan")),
        ("scale", "inf"),
        ("scale", float("inf")),
        ("scale", "1e999"),
        ("scale", 0),
        ("grey", "perhaps"),
        ("grey", 1),
        ("name", "c"),
        ("quality", 5),
        ("none", 1),
        ("x" * 5000, 1),
        ("__class__", 1),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_bad_options(two_steps: Graph, name: str, value: Any) -> None:
    with pytest.raises(BadOptions) as caught:
        two_steps.plan("pdf", "png", {name: value})
    assert caught.value.hint
    assert caught.value.details["option"] == name[:40]
    assert len(caught.value.message) < 500


def test_option_schema_is_a_schema(two_steps: Graph) -> None:
    schema = option_schema(two_steps.options("docx", "jpg"))
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert validator.is_valid({"dpi": 72, "quality": 3, "pages": 1})
    assert not validator.is_valid({"dpi": 5})
    assert not validator.is_valid({"none": 1})


NODES = ("md", "docx", "html", "pdf", "png", "jpg", "mp4", "txt")
STEPS = st.builds(
    Route,
    st.sampled_from(NODES),
    st.sampled_from(NODES),
    st.integers(0, 5),
    st.integers(1, 5),
)


def brute(routes: list[Route], source: str, target: str) -> tuple[bool, float, float, int] | None:
    """The least weight of all ways, by trying every one of them."""
    best: dict[tuple[str, str], Route] = {}
    for route in routes:
        known = best.get((route.source, route.target))
        if known is None or (route.loss, route.cost) < (known.loss, known.cost):
            best[route.source, route.target] = route

    def weights() -> Iterator[tuple[bool, float, float, int]]:
        for steps in range(1, MAX_STEPS + 1):
            others = [node for node in NODES if node not in (source, target)]
            for middle in permutations(others, steps - 1):
                pairs = list(pairwise((source, *middle, target)))
                if source == target and steps > 1:
                    continue
                if not all(pair in best for pair in pairs):
                    continue
                a, b = FORMATS[source], FORMATS[target]
                way = [FORMATS[node] for node in (source, *middle, target)]
                if any(one.raster and later.text for one, later in combinations(way, 2)):
                    continue
                if a.timed != b.timed and steps > 1 and not (a.timed and b.raster):
                    continue
                rasterizes = b.editable and any(FORMATS[node].raster for node in middle)
                loss = sum(best[pair].loss for pair in pairs)
                yield rasterizes, loss, sum(best[pair].cost for pair in pairs), steps

    return min(weights(), default=None)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=40))
@example([Route("md", "png", 0, 1), Route("png", "docx", 0, 1), Route("md", "docx", 5, 5)])
def test_plan_is_the_best_of_all(routes: list[Route]) -> None:
    planner = graph(*routes)
    for source in NODES:
        for target in NODES:
            expected = brute(routes, source, target)
            assert (target in planner.targets(source)) == (expected is not None)
            if expected is None:
                with pytest.raises(UnsupportedRoute):
                    planner.plan(source, target)
                continue
            path = planner.path(source, target)
            plan = planner.plan(source, target)
            assert len(path) <= MAX_STEPS
            assert way(plan) == [source, *(edge.route.target for edge in path)]
            assert len({*way(plan)}) == len(way(plan)) or source == target
            found = (
                plan.notes == (RASTERIZED,),
                sum(edge.route.loss for edge in path),
                sum(edge.route.cost for edge in path),
                len(path),
            )
            assert found == expected


def test_no_words_are_promised_of_a_picture() -> None:
    """A picture becomes a PDF, and a PDF text: of that picture it has none."""
    planner = Graph(ENGINES)
    for source in planner.sources:
        if FORMATS[source].raster:
            assert not [t for t in planner.targets(source) if FORMATS[t].editable], source


def test_real_plans_survive_the_database() -> None:
    planner = Graph(ENGINES)
    for source in planner.sources:
        for target in planner.targets(source):
            plan = planner.plan(source, target)
            assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_options_of_the_engines_are_schemas(engine: Engine) -> None:
    Draft202012Validator.check_schema(
        option_schema({option.name: option for option in engine.options})
    )
