"""Tables: every route for real; every cell compared by a reader that did not write it."""

from __future__ import annotations

import csv
import datetime as dt
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import polars
import pytest
import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines import bare
from filemill.conversion import Result
from filemill.engine import MB, Call
from filemill.engines import libreoffice
from filemill.engines.tables import ENGINE
from filemill.engines.tables import convert as work
from filemill.errors import FileInvalid, FilemillError, LimitExceeded
from filemill.limits import USUAL
from filemill.probes.table import probe
from samples import tables

Convert = Callable[..., Result]
calculates = pytest.mark.skipif(libreoffice.find() is None, reason="LibreOffice is not installed")
LIBREOFFICE = {"xls", "ods"}
"""Sources that need another program to be made."""
ROUTES = [
    (route.source, route.target) for route in ENGINE.routes if route.source not in LIBREOFFICE
]


def read(path: Path, format_id: str) -> list[list[Any]]:
    """Header and rows, by the standard library, openpyxl or polars."""
    match format_id:
        case "csv" | "tsv":
            with path.open(encoding="utf-8", newline="") as file:
                return list(csv.reader(file, delimiter="," if format_id == "csv" else "\t"))
        case "json" | "ndjson":
            text = path.read_text("utf-8")
            rows = (
                json.loads(text)
                if format_id == "json"
                else list(map(json.loads, text.splitlines()))
            )
            return [list(rows[0]), *(list(row.values()) for row in rows)]
        case "parquet":
            frame = polars.read_parquet(path)
            return [frame.columns, *map(list, frame.rows())]
        case _:
            sheet = openpyxl.load_workbook(path).active
            assert not any(cell.data_type == "f" for row in sheet.iter_rows() for cell in row)
            return [list(row) for row in sheet.iter_rows(values_only=True)]


def expected(value: object, text: str | None, source: str, target: str) -> object:
    """What a cell must be in `target`, coming from `source`."""
    if source == "xlsx" and text == "":
        value = text = None  # Excel does not tell an empty text from no value
    if target in ("csv", "tsv"):
        if source in ("csv", "tsv") or not isinstance(value, float):
            return text or ""
        return text and float(text)
    if isinstance(value, dt.date) and target in ("json", "ndjson"):
        return value.isoformat()
    if isinstance(value, dt.date) and source in ("json", "ndjson"):
        return text  # text in JSON is text
    if isinstance(value, dt.date) and target == "xlsx":
        return dt.datetime.combine(value, dt.time())
    return value


@pytest.mark.parametrize(("source", "target"), ROUTES)
def test_every_route(convert: Convert, tmp_path: Path, source: str, target: str) -> None:
    path = tables.make(source, tmp_path / f"table.{source}")
    result = convert(path, source, target)
    assert result.format == target
    header, *rows = read(result.path, target)
    assert header == tables.HEADER
    assert len(rows) == len(tables.ROWS)
    for row, values, texts in zip(rows, tables.values(), tables.ROWS, strict=True):
        for got, value, text in zip(row, values, texts, strict=True):
            want = expected(value, text, source, target)
            if isinstance(want, float) and isinstance(got, str):
                got = float(got)
            assert got == want
            if target == "parquet" and want is not None:
                assert type(got) is type(want)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("delimiter", [";", "|", "\t", ","])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_dialects(
    convert: Convert, tmp_path: Path, encoding: str, delimiter: str, end: str
) -> None:
    rows = [["größe", "b", "c"], ["1,5", "é", "007"], ["2,25", "ü|ü;ü", "x\ty"]]
    path = tmp_path / "in.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter, lineterminator=end).writerows(rows)
    assert read(convert(path, "csv", "csv").path, "csv") == rows
    assert read(convert(path, "csv", "xlsx").path, "xlsx") == rows


UNEVEN = {
    "said": ("sep=;\r\na;b\r\n1,5;2,5\r\n", [["a", "b"], ["1,5", "2,5"]]),
    "said to be a comma": ("sep=,\na,b;c\n1,2\n", [["a", "b;c"], ["1", "2"]]),
    "said to be another": ("sep=:\na:b\n1,5:x\n", [["a", "b"], ["1,5", "x"]]),
    "broken in quotes": (
        "a;b\n" + '"x,y\nz";2\n' * 19 + '"1\n2";"3,4,5,6\n7"\n',
        [["a", "b"], *[["x,y\nz", "2"]] * 19, ["1\n2", "3,4,5,6\n7"]],
    ),
    "one column": (
        "note\nhello; x\nplain\nplain\n",
        [["note"], ["hello; x"], ["plain"], ["plain"]],
    ),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", UNEVEN)
def test_separators(convert: Convert, tmp_path: Path, name: str, encoding: str) -> None:
    content, rows = UNEVEN[name]
    path = tmp_path / "in.csv"
    path.write_bytes(content.encode(encoding))
    result = convert(path, "csv", "csv")
    assert read(result.path, "csv") == rows
    assert (result.facts.rows, result.facts.columns) == (len(rows), len(rows[0]))
    assert read(convert(path, "csv", "parquet", header=False).path, "parquet")[1:] == rows


@pytest.mark.parametrize("separator", ["\t", ";"])
def test_a_tsv_that_says_its_separator(convert: Convert, tmp_path: Path, separator: str) -> None:
    path = tmp_path / "in.tsv"
    path.write_text(f"sep={separator}\r\na{separator}b\r\n1{separator}2\r\n", newline="")
    result = convert(path, "tsv", "csv")
    assert read(result.path, "csv") == [["a", "b"], ["1", "2"]]
    assert (result.facts.rows, result.facts.columns) == (2, 2)


def test_a_line_that_says_the_separator_is_not_the_given_one(
    convert: Convert, tmp_path: Path
) -> None:
    path = tmp_path / "in.csv"
    path.write_text("sep=;\na|b\n1|2\n")
    result = convert(path, "csv", "csv", input_delimiter="|")
    assert read(result.path, "csv") == [["a", "b"], ["1", "2"]]


@pytest.mark.parametrize("content", ["Title, 2024\na;b\n1;2\n", "a;b\n1;2;3\n1;2\n1;2\n"])
def test_rows_of_unequal_length_are_not_one_column(
    convert: Convert, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "in.csv"
    path.write_text(content)
    with pytest.raises(FileInvalid, match="Line 2 is broken"):
        convert(path, "csv", "json")


def test_options(convert: Convert, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes("a;b\nж;2\n".encode("cp1251"))
    result = convert(path, "csv", "csv", encoding="cp1251", delimiter="|")
    assert result.path.read_text("utf-8") == "a|b\nж|2\n"
    bare = convert(path, "csv", "json", encoding="cp1251", header=False)
    assert json.loads(bare.path.read_text("utf-8")) == [
        {"column1": "a", "column2": "b"},
        {"column1": "ж", "column2": "2"},
    ]
    back = convert(bare.path, "json", "csv", header=False)
    assert back.path.read_text("utf-8") == "a,b\nж,2\n"


def test_sheets(convert: Convert, tmp_path: Path) -> None:
    path = tables.make("xlsx", tmp_path / "in.xlsx")
    for sheet in ("More", "2", 2):
        assert convert(path, "xlsx", "csv", sheet=sheet).path.read_text() == "a,b\n"
    with pytest.raises(FileInvalid, match="no sheet"):
        convert(path, "xlsx", "csv", sheet="Nowhere")


def uncalculated(path: Path) -> Path:
    """openpyxl writes formulas without their results."""
    book = openpyxl.Workbook()
    for row in (["a", "b", "sum"], [True, 2, "=A2+B2"], [3, 4, "=A3+B3"]):
        book.active.append(row)
    book.create_sheet("Plain").append(["x"])
    book.create_sheet("One").append([1, "=A1/0"])
    book.save(path)
    return path


def test_formulas_that_were_never_calculated(convert: Convert, tmp_path: Path) -> None:
    """This engine alone cannot; and what has none of them is not another's to do."""
    path = uncalculated(tmp_path / "in.xlsx")
    for options, count in (
        ({}, "2 formulas"),
        ({"sheet": "One"}, "1 formula "),
        ({"sheet": 3}, "1"),
    ):
        with pytest.raises(FileInvalid, match=f"has {count}.*without a stored") as caught:
            bare.convert(ENGINE, path, "xlsx", "csv", tmp_path, **options)
        assert "save it" in str(caught.value.hint)
    result = convert(path, "xlsx", "csv", sheet=2)
    assert result.path.read_text() == "x\n"
    assert "libreoffice" not in str(result.verdict.checks)


@calculates
def test_formulas_are_calculated_first(convert: Convert, tmp_path: Path) -> None:
    path = uncalculated(tmp_path / "in.xlsx")
    result = convert(path, "xlsx", "csv")
    assert read(result.path, "csv") == [["a", "b", "sum"], ["true", "2", "3"], ["3", "4", "7"]]
    assert "libreoffice made xlsx of it first" in result.verdict.checks
    for sheet in ("One", 3):
        found = convert(path, "xlsx", "csv", sheet=sheet).path
        assert read(found, "csv") == [["1", "#DIV/0!"]]


@calculates
def test_formulas_of_xlsxwriter_are_calculated_first(convert: Convert, tmp_path: Path) -> None:
    book = xlsxwriter.Workbook(path := tmp_path / "in.xlsx")
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ["a", "b", "sum"])
    sheet.write_row(1, 0, [1, 2])
    sheet.write_formula(1, 2, "=A2+B2")
    book.close()
    rows = [{"a": 1, "b": 2, "sum": 3}]
    assert json.loads(convert(path, "xlsx", "json").path.read_text()) == rows
    ods = convert(path, "xlsx", "ods")
    assert json.loads(convert(ods.path, "ods", "json").path.read_text()) == rows


@calculates
def test_errors_of_an_xls(convert: Convert, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["a", "b"])
    book.active.append(["=NA()", "=1/0"])
    for more in (0, 500):  # a small stream is kept in another way
        for _ in range(more):
            book.active.append(["#N/A", 1])
        book.save(path := tmp_path / "in.xlsx")
        xls = convert(path, "xlsx", "xls").path
        assert bare.facts(xls).errors == 2 + more
        rows = read(convert(xls, "xls", "csv").path, "csv")
        assert rows == [["a", "b"], ["#N/A", "#DIV/0!"], *[["#N/A", "1"]] * more]


def test_formulas_of_xlsxwriter_are_not_calculated(tmp_path: Path) -> None:
    """It stores 0 as the result of each, and that programs are to calculate them."""
    for results, found in (((0, 0), (0, 2)), ((0, 5), None), ((0, "x"), None)):
        book = xlsxwriter.Workbook(path := tmp_path / "in.xlsx")
        book.add_worksheet().write_row(0, 0, [1, 2])
        sheet = book.add_worksheet()
        for row, result in enumerate(results):
            sheet.write_formula(row, 0, "=Sheet1!A1+Sheet1!B1", None, result)
        book.close()
        uncalculated = bare.facts(path).uncalculated
        assert (uncalculated and tuple(uncalculated)) == found
    change(path, "xl/workbook.xml", ' fullCalcOnLoad="1"', "")
    change(path, "xl/worksheets/sheet2.xml", "<v>x</v>", "<v>0</v>")
    assert bare.facts(path).uncalculated is None


def test_formulas_of_an_ods_that_were_never_calculated(convert: Convert, tmp_path: Path) -> None:
    from odf import opendocument, table

    book = opendocument.OpenDocumentSpreadsheet()
    for name, result in (("S", {"valuetype": "string", "stringvalue": ""}), ("T", {})):
        sheet, row = table.Table(name=name), table.TableRow()
        row.addElement(table.TableCell(valuetype="float", value=1))
        row.addElement(table.TableCell(formula="of:=[.A1]", **result))
        sheet.addElement(row)
        book.spreadsheet.addElement(sheet)
    book.save(path := tmp_path / "in.ods")
    assert bare.facts(path).uncalculated == [0, 1]
    if libreoffice.find():
        assert convert(path, "ods", "csv", sheet="T").path.read_text() == "1,1\n"


def change(path: Path, part: str, old: str, new: str) -> None:
    """Another text in a part of a zip."""
    with zipfile.ZipFile(path) as source:
        parts = {name: source.read(name) for name in source.namelist()}
    assert old.encode() in parts[part]
    with zipfile.ZipFile(path, "w") as changed:
        for name, content in parts.items():
            if name == part:
                content = content.replace(old.encode(), new.encode())
            changed.writestr(name, content)


def test_formulas_with_results(convert: Convert, tmp_path: Path) -> None:
    """An empty text is a result, too: LibreOffice and Excel write it so."""
    book = xlsxwriter.Workbook(path := tmp_path / "in.xlsx")
    sheet = book.add_worksheet()
    for column, value in enumerate((3, 0, "text", "EMPTY", True)):
        sheet.write_formula(0, column, "=A2", None, value)
    book.close()
    change(path, "xl/worksheets/sheet1.xml", "<v>EMPTY</v>", "<v></v>")
    rows = read(convert(path, "xlsx", "csv").path, "csv")
    assert rows == [["3", "0", "text", "", "true"]]


ERRORS = ["#N/A", "#DIV/0!", "#NAME?", "#REF!", "#VALUE!", "#NUM!", "#NULL!"]


def test_errors_are_values(convert: Convert, tmp_path: Path) -> None:
    book = xlsxwriter.Workbook(path := tmp_path / "in.xlsx")
    sheet = book.add_worksheet()
    for column, error in enumerate(ERRORS):
        sheet.write(0, column, f"c{column}")
        sheet.write_formula(1, column, "=A1+1", None, error)
        sheet.write(2, column, 't="e"' if column else 0.5)
    book.close()
    rows = [[f"c{n}" for n in range(7)], ERRORS, ["0.5", *['t="e"'] * 6]]
    assert read(convert(path, "xlsx", "csv").path, "csv") == rows
    assert read(convert(path, "xlsx", "json").path, "json")[1] == ERRORS
    assert read(convert(path, "xlsx", "parquet").path, "parquet") == rows


def test_errors_of_an_ods(convert: Convert, tmp_path: Path) -> None:
    """As LibreOffice writes them."""
    from odf import opendocument, table
    from odf.text import P

    book = opendocument.OpenDocumentSpreadsheet()
    sheet, row = table.Table(name="S"), table.TableRow()
    for error in (*ERRORS, "Err:502"):
        made = table.TableCell(valuetype="string", stringvalue="", formula="of:=NA()>0")
        made.addElement(P(text=error))
        row.addElement(made)
    sheet.addElement(row)
    book.spreadsheet.addElement(sheet)
    book.save(path := tmp_path / "in.ods")
    root, shown = "<office:document-content", "urn:org:documentfoundation:names:experimental:calc"
    change(path, "content.xml", root, f'{root} xmlns:calcext="{shown}:xmlns:calcext:1.0"')
    result = 'office:string-value=""'
    change(path, "content.xml", result, f'{result} calcext:value-type="error"')
    assert read(convert(path, "ods", "csv").path, "csv") == [[*ERRORS, "Err:502"]]


def test_long_numbers_and_durations_of_an_xlsx(convert: Convert, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    seconds = (1.5, 59.7, 108_000, 3599.9996)
    book.active.append([4111111111111111, -(2**52), 1e20, 0.1])
    book.active.append([dt.timedelta(seconds=value) for value in seconds])
    for cell in book.active[2]:
        cell.number_format = "[h]:mm:ss.000"
    book.save(path := tmp_path / "in.xlsx")
    assert read(convert(path, "xlsx", "csv").path, "csv") == [
        ["4111111111111111", "-4503599627370496", "1e+20", "0.1"],
        ["00:00:01.500", "00:00:59.700", "30:00:00", "01:00:00"],
    ]


def test_json_shapes(convert: Convert, tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    path.write_text('[["a", "b"], [1, "x"], [2, null]]')
    assert convert(path, "json", "csv").path.read_text() == "a,b\n1,x\n2,\n"
    path.write_text('{"a": {"b": [1, "é"]}, "c/d~": 12345678901234567890123}\n{"A": 1.5}\n')
    frame = polars.read_parquet(convert(path, "ndjson", "parquet").path)
    assert frame.rows() == [
        ('{"b":[1,"é"]}', "12345678901234567890123", None),
        (None, None, 1.5),
    ]
    path.write_text('[{"a": 1.10, "b": {"x": []}}, {"c": null}]')
    lines = convert(path, "json", "ndjson").path.read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"a": 1.1, "b": {"x": []}}, {"c": None}]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
@pytest.mark.parametrize("source", ["json", "ndjson"])
def test_encodings_of_json(convert: Convert, tmp_path: Path, source: str, encoding: str) -> None:
    """As PowerShell's ConvertTo-Json | Out-File and .NET write it."""
    objects = [{"a": n, "größe": "é\r\n"} for n in range(3)]
    lines = [json.dumps(row, ensure_ascii=False) for row in objects]
    text = "\r\n".join(lines) if source == "ndjson" else f"[{','.join(lines)}]"
    path = tmp_path / f"in.{source}"
    path.write_bytes(text.encode(encoding))
    header, *rows = read(convert(path, source, "csv").path, "csv")
    assert (header, rows) == (["a", "größe"], [[str(n), "é\r\n"] for n in range(3)])
    for target in {"json", "ndjson"} - {source}:
        result = convert(path, source, target)
        found = result.path.read_text("utf-8")
        assert objects == (
            json.loads(found) if target == "json" else list(map(json.loads, found.splitlines()))
        )
        assert result.facts.rows == 4


BROKEN = {
    "three.csv": (b"a,b\n1,2\n1,2,3\n", "Line 3 .* 3 fields"),
    "short.csv": (b"a,b\n1,2\n1\n", "Line 3 .* 1 fields"),
    "open.csv": (b'a,b\n1,"2\n3,4\n', "Line 2 .* does not end"),
    "binary.csv": (b"a,b\n\x00\x01\x02,2\n", "not text"),
    "cut.json": (b'[{"a": 1}, {"a"', "JSON is broken"),
    "words.json": (b'["a", "b"]', "no table"),
    "none.json": (b"[]", "no table"),
    "cut.ndjson": (b'{"a": 1}\n{"a": \n', "JSON is broken"),
    "cut.parquet": (b"PAR1" + bytes(40), "cannot be read"),
    "cut.xlsx": (b"PK\x03\x04" + bytes(40), "its end is missing"),
}


def test_an_empty_line_of_one_column_is_a_row(convert: Convert, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("a\n1\n\n2\n")
    result = convert(path, "csv", "json")
    assert json.loads(result.path.read_text()) == [{"a": 1}, {"a": None}, {"a": 2}]


@pytest.mark.parametrize("name", BROKEN)
def test_broken(convert: Convert, tmp_path: Path, name: str) -> None:
    content, said = BROKEN[name]
    path = tmp_path / name
    path.write_bytes(content)
    source = path.suffix[1:]
    with pytest.raises(FileInvalid, match=said):
        convert(path, source, "tsv")


def test_excel_holds_no_more(convert: Convert, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    with path.open("w") as file:
        file.writelines(f"{n}\n" for n in range(1_048_577))
    with pytest.raises(LimitExceeded, match="1,048,576 rows"):
        convert(path, "csv", "xlsx")
    path.write_text(f"a,b\n1,{'x' * 40_000}\n")
    with pytest.raises(LimitExceeded, match="40,000 characters"):
        convert(path, "csv", "xlsx")


def test_only_its_own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import duckdb

    from filemill.tabular.duck import connect

    (tmp_path / "secret.csv").write_text("a\n1\n")
    (tmp_path / "room").mkdir()
    monkeypatch.chdir(tmp_path / "room")
    with connect() as connection:
        for statement in (
            "SELECT * FROM read_csv('../secret.csv')",
            f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
            "INSTALL httpfs",
            "LOAD httpfs",
            "SET enable_external_access=true",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(statement)


cell = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=8)
grids = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(cell, min_size=width, max_size=width), min_size=2, max_size=6)
)


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(rows=grids)
def test_any_text_survives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[list[str]]
) -> None:
    """csv -> tsv -> csv and csv -> parquet keep every value that Python's csv writer wrote."""
    monkeypatch.chdir(tmp_path)
    with Path("in.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    common = {"options": {"input_delimiter": ","}, "threads": 1, "rows": None}
    run = {"report": lambda _: None, "source": "csv", **common}
    work(input="in.csv", output="out.tsv", target="tsv", **run)
    assert read(Path("out.tsv"), "tsv") == rows
    work(input="in.csv", output="out.parquet", target="parquet", **run)
    frame = polars.read_parquet("out.parquet")
    for row, got in zip(rows[1:], frame.rows(), strict=True):
        for text, value in zip(row, got, strict=True):
            assert str(value) == text or float(value) == float(text)


@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(
    content=st.binary(min_size=1, max_size=200), format=st.sampled_from(["csv", "json", "parquet"])
)
def test_any_bytes_are_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, format: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.x").write_bytes(content)
    try:
        facts = probe("in.x", format, USUAL)
    except FilemillError:
        return
    assert facts.size == len(content)


def test_memory_is_constant(converter: Any, tmp_path: Path) -> None:
    """200 MB of csv go through in far less memory; bench/ has the throughput."""
    path, filler = tmp_path / "in.csv", "lorem ipsum " * 15
    with path.open("w") as file:
        file.write("id,name,amount,day,text\n")
        for start in range(0, 860_000, 20_000):
            file.writelines(
                f'{n:08d},name {n},{n / 4},2024-01-{n % 28 + 1:02d},"text, {n} {filler}"\n'
                for n in range(start, start + 20_000)
            )
    assert path.stat().st_size > 190e6
    for target in ("parquet", "ndjson"):
        arguments = {
            "input": "in.csv",
            "output": f"out.{target}",
            "source": "csv",
            "target": target,
            "options": {},
            "threads": 2,
            "rows": None,
        }
        ended = converter.sandbox.run(
            Call("filemill.engines.tables:convert", arguments),
            directory=tmp_path,
            limits=ENGINE.limits,
        )
        assert (ended.code, ended.error) == (0, None)
        assert ended.max_rss < 600 * MB
    assert (
        polars.scan_parquet(tmp_path / "out.parquet").select(polars.len()).collect().item()
        == 860_000
    )


def test_cells_of_an_ods(convert: Convert, tmp_path: Path) -> None:
    from odf import opendocument, table
    from odf.text import P

    def cell(value: object) -> Any:
        match value:
            case None:
                return table.TableCell()
            case dt.date():
                return table.TableCell(valuetype="date", datevalue=value.isoformat())
            case int() | float():
                return table.TableCell(valuetype="float", value=value)
        made = table.TableCell(valuetype="string")
        made.addElement(P(text=str(value)))
        return made

    book = opendocument.OpenDocumentSpreadsheet()
    for name, rows in BOOK.items():
        sheet = table.Table(name=name)
        for values in rows:
            row = table.TableRow()
            for value in values:
                row.addElement(cell(value))
            sheet.addElement(row)
        book.spreadsheet.addElement(sheet)
    book.save(tmp_path / "in.ods")
    book_is_read(convert, tmp_path / "in.ods", "ods")


def test_cells_of_an_xls(convert: Convert, tmp_path: Path) -> None:
    import xlwt

    book = xlwt.Workbook()
    day = xlwt.easyxf(num_format_str="yyyy-mm-dd")
    for name, rows in BOOK.items():
        sheet = book.add_sheet(name)
        for y, values in enumerate(rows):
            for x, value in enumerate(values):
                if value is not None:
                    style = [day] if isinstance(value, dt.date) else []
                    sheet.write(y, x, value, *style)
    book.save(str(tmp_path / "in.xls"))
    book_is_read(convert, tmp_path / "in.xls", "xls")


BOOK: dict[str, list[list[Any]]] = {
    "One": [
        ["id", "amount", "day", "note"],
        ["007", 12.5, dt.date(2024, 2, 29), "Zoë"],
        ["008", None, dt.date(1999, 12, 31), None],
        ["0", -3, None, "=1+1"],
    ],
    "Two": [["a", "b"], ["x", 2]],
}


def book_is_read(convert: Convert, path: Path, source: str) -> None:
    found = read(convert(path, source, "parquet").path, "parquet")
    assert found == BOOK["One"]
    assert [type(value) for value in found[1]] == [str, float, dt.date, str]
    assert read(convert(path, source, "csv").path, "csv") == [
        BOOK["One"][0],
        ["007", "12.5", "2024-02-29", "Zoë"],
        ["008", "", "1999-12-31", ""],
        ["0", "-3", "", "=1+1"],
    ]
    for sheet in ("Two", 2):
        assert read(convert(path, source, "json", sheet=sheet).path, "json") == BOOK["Two"]
