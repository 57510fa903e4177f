"""What a host lacks, and what that costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from filemill.engine import Engine, Route, Tool, Work
from filemill.engines.libreoffice import find
from filemill.inventory import Inventory
from filemill.workshop import Workshop

HERE = Tool("here", lambda: Path("/bin/sh"), hint="", reads=("/usr/share",))
GONE = Tool("gone", lambda: None, hint="apt-get install gone")
PLAIN = Engine(
    "plain", "Plain", (Route("md", "html"), Route("html", "docx")), lambda task: Work((), ())
)
OFFICE = replace(PLAIN, name="office", routes=(Route("md", "docx"), Route("docx", "pdf")))


def test_an_engine_with_all_it_needs_is_usable() -> None:
    found = Inventory.of([replace(PLAIN, tools=(HERE,), modules=("json",))])
    assert [engine.name for engine in found.engines] == ["plain"]
    assert found.tools == {"here": Path("/bin/sh")}
    assert found.reads == (Path("/usr/share"),)
    assert found.modules == ("json",)
    assert not found.missing


def test_a_missing_tool_costs_only_what_no_other_way_leads_to() -> None:
    found = Inventory.of([PLAIN, replace(OFFICE, tools=(HERE, GONE))])
    assert [engine.name for engine in found.engines] == ["plain"]
    (lack,) = found.missing
    assert lack.what == ("gone",)
    assert lack.hints == ("apt-get install gone",)
    assert lack.lost == {"docx": ("pdf",)}  # md to docx goes by html


def test_a_missing_module_is_named() -> None:
    (lack,) = Inventory.of([replace(OFFICE, modules=("json", "no_such_module"))]).missing
    assert lack.what == ("no_such_module",)
    assert lack.lost == {"md": ("docx",), "docx": ("pdf",)}


def test_without_landlock_what_needs_it_is_off() -> None:
    routes = (Route("rtf", "pdf", needs_landlock=True), Route("docx", "pdf"))
    engine = replace(OFFICE, routes=routes)
    assert Inventory.of([engine]).engines[0].routes == routes
    assert Inventory.of([engine], landlock=False).engines[0].routes == routes[1:]


@pytest.mark.parametrize(("word", "kept"), [("refuse", False), ("allow", True)])
def test_the_operator_decides(word: str, kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filemill.workshop.abi", lambda: 0)
    monkeypatch.setenv("FILEMILL_WITHOUT_LANDLOCK", word)
    routes = [route for engine in Workshop.here().inventory.engines for route in engine.routes]
    assert any(route.needs_landlock for route in routes) == (kept and find() is not None)
