"""A table as a query, and the types of its columns."""

# ruff: noqa: S608 (SQL is put together here: names and strings through `identifier`, `quoted`)
from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_COLUMNS = 16_384
TESTS = 400
"""How many questions one query asks."""
SAMPLE = 20_000
"""Rows that propose a column's type, before all of them confirm it."""
_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
KINDS: Mapping[str, str] = {
    "BOOLEAN": "$ IN ('true', 'false')",
    "BIGINT": "regexp_full_match($, '0|-?[1-9][0-9]{0,17}')",
    # Fifteen digits fit any double; a longer number must be as a double prints itself.
    "DOUBLE": r"regexp_full_match($, '-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-][0-9]+)?') AND "
    "(length(replace($, '.', '')) <= 15 OR TRY_CAST($ AS DOUBLE)::VARCHAR = $)",
    "DATE": f"regexp_full_match($, '{_DATE}') AND TRY_CAST($ AS DATE) IS NOT NULL",
    "TIMESTAMP": f"regexp_full_match($, '{_DATE}([ T]{_TIME})?') "
    "AND TRY_CAST($ AS TIMESTAMP) IS NOT NULL",
}
"""Tests whether the text of a value, `$`, is this type's; the first that fits all is taken."""


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    """As the file has it; may repeat, or be empty."""
    name: str
    """Unique."""
    value: str
    """SQL of its value."""
    type: str | None = None
    """SQL type; None: text whose type is still to be found."""


@dataclass(frozen=True, slots=True)
class Table:
    source: str
    """SQL that goes behind FROM."""
    columns: tuple[Column, ...]


def typed(connection: Any, table: Table, kinds: Iterable[str]) -> Table:
    """The same table, each text column as the first of `kinds` that all its values are."""
    order = tuple(kinds)
    open_ = [column for column in table.columns if column.type is None]
    # A sample proposes, everything disposes: text columns, the most, cost no second look.
    possible = _holding(connection, f"(FROM {table.source} LIMIT {SAMPLE})", open_, order)
    possible = _holding(connection, table.source, open_, order, possible)
    found = {name: kinds[0] for name, kinds in possible.items() if kinds}
    return Table(
        table.source,
        tuple(
            Column(
                column.title,
                column.name,
                f"CAST({column.value} AS {found[column.name]})"
                if column.name in found
                else column.value,
                column.type or found.get(column.name, "VARCHAR"),
            )
            for column in table.columns
        ),
    )


def _holding(
    connection: Any,
    source: str,
    columns: Sequence[Column],
    order: Sequence[str],
    known: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Sequence[str]]:
    """Which kinds hold for all values of each column, of those `known` to be possible."""
    asked = [
        (column, kind)
        for column in columns
        for kind in (order if known is None else known[column.name])
    ]
    held: dict[str, list[str]] = {column.name: [] for column in columns}
    for at in range(0, len(asked), TESTS):
        part = asked[at : at + TESTS]
        tests = (
            f"bool_and({_test(kind, column)}) FILTER ({column.value} IS NOT NULL)"
            for column, kind in part
        )
        row = connection.execute(f"SELECT {', '.join(tests)} FROM {source}").fetchone()
        for (column, kind), holds in zip(part, row, strict=True):
            if holds:
                held[column.name].append(kind)
    return dict(held)


def _test(kind: str, column: Column) -> str:
    return KINDS[kind].replace("$", f"({column.value})")


def unique(titles: Sequence[str]) -> list[str]:
    """Names for columns: no two alike, not even in another case, and none empty."""
    seen: set[str] = set()
    names = []
    for number, title in enumerate(titles, 1):
        base = name = title.strip() or f"column{number}"
        for more in itertools.count(2):
            if name.casefold() not in seen:
                break
            name = f"{base}_{more}"
        seen.add(name.casefold())
        names.append(name)
    return names
