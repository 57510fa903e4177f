"""Tables that inject, swell or lie (DuckDB, PyArrow)."""

from __future__ import annotations

import random
from pathlib import Path

from hostile.attack import OK, REFUSED, row
from hostile.traps import Traps

MB = 1024 * 1024
_INJECT = (
    "x\"') FROM read_text('{file}')); COPY (SELECT * FROM read_text('{file}')) TO 'out.csv'; --"
)


def _parquet(path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"a": list(range(1000))}), path)


def _footer(path: Path, _: Traps) -> None:
    """Says that its footer is 2 GB long."""
    _parquet(path)
    data = path.read_bytes()
    path.write_bytes(data[:-8] + (2**31 - 1).to_bytes(4, "little") + b"PAR1")


def _groups(path: Path, _: Traps) -> None:
    """A footer with every length in it blown up."""
    _parquet(path)
    data = bytearray(path.read_bytes())
    length = int.from_bytes(data[-8:-4], "little")
    noise = random.Random(3)
    for at in noise.sample(range(len(data) - 8 - length, len(data) - 8), 20):
        data[at] = 0xFF
    path.write_bytes(bytes(data))


def _group_names(path: Path, traps: Traps) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({_INJECT.replace("{file}", traps.file()): [1, 2]}), path)


def _dictionary(path: Path, _: Traps) -> None:
    """40 kB that hold 10 million times the same text of 10 kB."""
    import pyarrow as pa
    from pyarrow import parquet

    column = pa.DictionaryArray.from_arrays(pa.array([0] * 10_000_000, pa.int8()), ["A" * 10_000])
    parquet.write_table(pa.table({"a": column}), path, row_group_size=10_000_000)


def _endless(path: Path, _: Traps) -> None:
    with path.open("wb") as file:
        file.write(b"a,b\n")
        for _ in range(64):
            file.write(b"x" * MB)


_QUOTE = '"' + _INJECT.replace('"', '""') + '"'

ATTACKS = (
    row("csv-header-sql", "csv > parquet json xlsx", f"{_QUOTE},b\n1,2\n3,4\n", OK),
    row("csv-value-sql", "csv > parquet json", f"a,b\n{_QUOTE},2\n", OK),
    row("ndjson-key-sql", "ndjson > csv parquet",
        '{"x\') FROM read_text(\'{file}\') --": 1}\n', OK),
    row("json-names-a-file", "json > csv", '[{"a": "{file}", "b": "file://{file}"}]', OK),
    row("parquet-name-sql", "parquet > csv json", _group_names, OK),
    row("csv-endless-line", "csv > parquet json", _endless),
    row("csv-endless-quote", "csv > parquet", 'a,b\n1,"' + "x\n" * 1_000_000),
    row("csv-wide", "csv > json", ",".join(f"c{n}" for n in range(100_000)) + "\n"),
    row("csv-nul", "csv > parquet", b"a,b\n1,\0\0\0\n" * 1000),
    row("json-deep", "json > csv ndjson", "[" * 200_000 + "]" * 200_000),
    row("json-deep-object", "json > csv", '[{"a":' * 50_000 + "1" + "}]" * 50_000),
    row("json-number", "json > csv", '[{"a": 1e999999999, "b": ' + "9" * 200_000 + "}]"),
    row("json-keys", "json > parquet csv",
        "[" + ",".join(f'{{"k{n}": {n}}}' for n in range(20_000)) + "]"),
    row("json-endless-text", "ndjson > csv", '{"a": "' + "x" * (40 * MB)),
    row("parquet-footer", "parquet > csv", _footer, *REFUSED),
    row("parquet-row-groups", "parquet > csv", _groups),
    row("parquet-dictionary", "parquet > csv json", _dictionary),
)  # fmt: skip
