"""JSON, ndjson, Parquet."""

# ruff: noqa: S608 (SQL is put together here: names and strings through `identifier`, `quoted`)
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from filemill.errors import FileInvalid
from filemill.tabular.duck import identifier, quoted
from filemill.tabular.table import MAX_COLUMNS, Column, Table, unique


def json_table(connection: Any, path: str, header: bool) -> Table:
    rows = f"read_json_objects({quoted(path)}, format='auto')"
    shapes = {
        kind
        for (kind,) in connection.execute(
            f"SELECT DISTINCT json_type(json) FROM {rows} LIMIT 3"
        ).fetchall()
    }
    if shapes not in ({"OBJECT"}, {"ARRAY"}):
        raise FileInvalid(
            "The JSON is no table.", hint="Wanted is an array of objects, or an array of arrays."
        )
    skip = 0
    if shapes == {"OBJECT"}:
        titles = _keys(connection, rows)
        paths = ["/" + key.replace("~", "~0").replace("/", "~1") for key in titles]
    else:
        (width,) = connection.execute(f"SELECT max(json_array_length(json)) FROM {rows}").fetchone()
        paths = [f"/{n}" for n in range(min(width, MAX_COLUMNS + 1))]
        titles = [f"column{n + 1}" for n in range(len(paths))]
        if header and paths:
            first = _values(paths)
            row = connection.execute(f"SELECT {first} FROM {rows} LIMIT 1").fetchone()[0]
            titles = [title or "" for title in row]
            skip = 1
    if not paths:
        raise FileInvalid("The JSON is a table without columns.")
    source = f"(SELECT json_extract(json, {_list(paths)}) AS v FROM {rows} OFFSET {skip})"
    is_text = [
        f"bool_or(json_type(v[{n}]) IN ('VARCHAR', 'OBJECT', 'ARRAY'))" for n in _count(paths)
    ]
    texts = connection.execute(f"SELECT {', '.join(is_text)} FROM {source}").fetchone()
    return Table(
        source,
        tuple(
            Column(title, name, f"(v[{n}] ->> '$')", "VARCHAR" if worded else None)
            for n, title, name, worded in zip(
                _count(paths), titles, unique(titles), texts, strict=True
            )
        ),
    )


def _keys(connection: Any, rows: str) -> list[str]:
    """The keys as the first row orders them, then those that only later rows have."""
    first = connection.execute(f"SELECT json_keys(json) FROM {rows} LIMIT 1").fetchone()[0]
    more = connection.execute(
        f"SELECT DISTINCT unnest(json_keys(json)) AS key FROM {rows} ORDER BY key "
        f"LIMIT {MAX_COLUMNS + 1}"
    ).fetchall()
    return list(dict.fromkeys([*first, *(key for (key,) in more)]))


def _count(items: Sequence[Any]) -> range:
    return range(1, len(items) + 1)


def _list(paths: Sequence[str]) -> str:
    return f"[{', '.join(map(quoted, paths))}]"


def _values(paths: Sequence[str]) -> str:
    return f"[x ->> '$' for x in json_extract(json, {_list(paths)})]"


def parquet_table(connection: Any, path: str) -> Table:
    source = f"read_parquet({quoted(path)})"
    described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    return Table(
        source,
        tuple(Column(name, name, identifier(name), type) for name, type, *_ in described),
    )
