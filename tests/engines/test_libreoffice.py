"""LibreOffice through the sandbox; results are read by other libraries."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pikepdf
import pytest

from filemill.conversion import Converter, Result
from filemill.engine import Command, Exit, Task
from filemill.engines import libreoffice
from filemill.engines.libreoffice import ENGINE, build, diagnose
from filemill.engines.libreoffice.program import installed
from filemill.errors import (
    BadOptions,
    Cancelled,
    EngineError,
    FileInvalid,
    FilemillError,
    LimitExceeded,
)
from filemill.model import Facts, Step
from filemill.sandbox import Box
from samples import documents as samples
from samples import reading
from sandbox.processes import eventually

Run = Callable[..., Result]

pytestmark = pytest.mark.skipif(libreoffice.find() is None, reason="LibreOffice is not installed")

SHEETS = ("xlsx", "ods", "xls")
ROUTES = [(route.source, route.target) for route in ENGINE.routes]


@pytest.mark.parametrize(("source", "target"), ROUTES)
def test_every_route(sample: Callable[[str], Path], run: Run, source: str, target: str) -> None:
    result = run(sample(source), source, target)
    assert result.format == target
    found = reading.words(result.path, target)
    table = source in (*SHEETS, "csv", "tsv")
    clipped = table and target == "pdf"  # a cell's text ends at its neighbour
    assert (samples.SENTENCE[:9] if clipped else samples.SENTENCE) in found
    assert samples.UMLAUTS in found
    assert table or samples.HEADING in found
    if table and target in (*SHEETS, "csv", "tsv"):
        sheets = reading.cells(result.path, target)
        assert sheets[0] == [[str(cell) for cell in row] for row in samples.CELLS]
        kept = source in SHEETS and target in SHEETS
        assert [sheet[0] for sheet in sheets[1:]] == ([[samples.SECOND, "3"]] if kept else [])
    if source in ("pptx", "ppt", "odp"):
        assert all(f"{samples.HEADING} {n + 1}" in found for n in range(samples.SLIDES))
    if target == "pdf" and source in ("pptx", "ppt", "odp"):
        assert len(reading.pdf_pages(result.path)) == samples.SLIDES


def test_every_source_has_a_sample(sample: Callable[[str], Path]) -> None:
    for source in {route.source for route in ENGINE.routes}:
        found = reading.words(sample(source), source)
        assert samples.SENTENCE in found
        assert samples.UMLAUTS in found or source == "rtf"


def test_structure_survives(sample: Callable[[str], Path], run: Run) -> None:
    import docx

    back = run(run(sample("docx"), "docx", "odt").path, "odt", "docx")
    document = docx.Document(str(back.path))
    assert document.paragraphs[0].style.name == "Heading 1"
    assert [cell.text for row in document.tables[0].rows for cell in row.cells] == [
        *("animal", "legs", "fox", "4")
    ]
    assert any(r.bold and r.text == "Bold" for p in document.paragraphs for r in p.runs)


def test_numbers_stay_numbers(sample: Callable[[str], Path], run: Run) -> None:
    import openpyxl

    for source in ("csv", "ods", "xls"):
        book = openpyxl.load_workbook(run(sample(source), source, "xlsx").path)
        assert [cell.value for cell in book.worksheets[0][2]] == ["fox", 4, 8.25]


def test_formulas_stay(sample: Callable[[str], Path], run: Run) -> None:
    import openpyxl

    book = openpyxl.load_workbook(run(sample("xls"), "xls", "xlsx").path)
    assert book.worksheets[1]["B1"].value == "=1+2"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("animal;weight\nGrüße;8,25\n", "cp1252"),
        ("animal;weight\nGrüße;8,25\n", "utf-8-sig"),
        ("animal\tweight\nGrüße\t8,25\n", "utf-16"),
        ('animal,weight\n"Grüße","8,25"\n', "utf-8"),
    ],
)
def test_csv_dialects(run: Run, tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(text.encode(encoding))
    result = run(path, "csv", "ods")
    assert reading.cells(result.path, "ods") == [[["animal", "weight"], ["Grüße", "8,25"]]]


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("sep=;\r\na;b\r\n1,x;2\r\n", [["a", "b"], ["1,x", "2"]]),
        ("sep=,\na,b\n1,2\n", [["a", "b"], ["1", "2"]]),
        ("Title\na;b\n1,x;2\n", [["Title"], ["a", "b"], ["1,x", "2"]]),
        ("a;b\n1,x;2;3\n1;2\n1;2\n", [["a", "b"], ["1,x", "2", "3"], ["1", "2"], ["1", "2"]]),
        ('a;b\n"x\ny,z";2\n', [["a", "b"], ["xy,z", "2"]]),
    ],
)
def test_csv_separators(run: Run, tmp_path: Path, text: str, cells: list[list[str]]) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(text.encode())
    assert reading.cells(run(path, "csv", "ods").path, "ods") == [cells]


def test_a_tsv_that_says_its_separator(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "in.tsv"
    path.write_text("sep=\t\na\tb,c\n1\t2\n")
    assert reading.cells(run(path, "tsv", "ods").path, "ods") == [[["a", "b,c"], ["1", "2"]]]


def test_csv_formulas_stay_text(run: Run, tmp_path: Path) -> None:
    import openpyxl

    path = tmp_path / "in.csv"
    path.write_text('a,b\n=1+2,+1+2\n-1+2,@x\n"=HYPERLINK(""http://x"")",5\n')
    book = openpyxl.load_workbook(run(path, "csv", "xlsx").path)
    cells = [(cell.value, cell.data_type) for row in book.worksheets[0]["A2:B3"] for cell in row]
    assert cells == [("=1+2", "s"), ("+1+2", "s"), ("-1+2", "s"), ("@x", "s")]


@pytest.mark.parametrize("target", ["ods", "xls"])
@pytest.mark.parametrize("source", ["csv", "tsv"])
def test_formulas_stay_text_in_other_books(
    run: Run, tmp_path: Path, source: str, target: str
) -> None:
    texts = ["=1+2", "+1+2", "-1+2", "@x", "=HYPERLINK(A1)"]
    path = tmp_path / f"in.{source}"
    path.write_text("".join(f"{text}\n" for text in ["a", *texts]))
    result = run(path, source, target)
    assert reading.cells(result.path, target) == [[[text] for text in ["a", *texts]]]
    if target == "ods":
        with zipfile.ZipFile(result.path) as archive:
            assert b"table:formula" not in archive.read("content.xml")


def test_text_of_another_encoding(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    for encoding in ("cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"):
        path.write_bytes("Grüße aus Köln\nzwei".encode(encoding))
        assert reading.words(run(path, "txt", "docx").path, "docx") == "Grüße aus Köln zwei"
    path.write_bytes("лиса".encode("koi8-r"))
    told = run(path, "txt", "docx", encoding="koi8-r")
    assert reading.words(told.path, "docx") == "лиса"


def test_a_log_with_a_bell(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text("done\a\n" + "a line of the log\n" * 20)
    for target in ("docx", "odt"):
        assert reading.words(run(path, "txt", target).path, target).startswith("done a line")


def test_pages(sample: Callable[[str], Path], run: Run) -> None:
    result = run(sample("pptx"), "pptx", "pdf", pages="1,3")
    pages = reading.pdf_pages(result.path)
    assert [number in page for page, number in zip(pages, "13", strict=True)] == [True, True]
    with pytest.raises(BadOptions):
        run(sample("pptx"), "pptx", "pdf", pages="99")


@pytest.mark.parametrize("level", ["1b", "2b", "3b"])
def test_pdfa(sample: Callable[[str], Path], run: Run, level: str) -> None:
    result = run(sample("docx"), "docx", "pdf", pdfa=level)
    with pikepdf.open(result.path) as document, document.open_metadata() as metadata:
        assert metadata["pdfaid:part"] == level[0]
        # Level A is level B and tags besides; LibreOffice always writes tags into a PDF/A-1.
        assert metadata["pdfaid:conformance"] == ("A" if level == "1b" else "B")
        assert "/OutputIntents" in document.Root


def test_quality(run: Run, tmp_path: Path) -> None:
    import docx
    from PIL import Image

    noise = Image.effect_noise((400, 400), 80).convert("RGB")
    noise.save(tmp_path / "noise.png")
    document = docx.Document()
    document.add_picture(str(tmp_path / "noise.png"))
    document.save(str(tmp_path / "in.docx"))
    sizes = [
        run(tmp_path / "in.docx", "docx", "pdf", quality=quality).facts.size for quality in (10, 95)
    ]
    assert sizes[0] * 2 < sizes[1]


def test_paper(sample: Callable[[str], Path], run: Run) -> None:
    def width(**options: str) -> int:
        with pikepdf.open(run(sample("csv"), "csv", "pdf", **options).path) as document:
            return round(float(document.pages[0].mediabox[2]))

    assert (width(), width(paper="a4"), width(paper="letter")) == (595, 595, 612)


def test_one_page_per_sheet(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("".join(f"{n},{n}\n" for n in range(300)))
    assert len(reading.pdf_pages(run(path, "csv", "pdf").path)) > 1
    fitted = run(path, "csv", "pdf", one_page_per_sheet=True)
    assert len(reading.pdf_pages(fitted.path)) == 1


# Processes that wait ------------------------------------------------------------------


def one_waits(warm: Converter) -> None:
    """While another rehearses none may be left, and a task does not wait for that one."""
    assert isinstance(warm.sandbox, Box)
    pools = warm.sandbox._pools
    assert eventually(lambda: all(pool._ready for pool in pools), 60)


def waited(room: Path) -> bool:
    """Whether a process that had a profile elsewhere did it."""
    return not (room / "profile").exists()


@pytest.mark.parametrize("source", ["docx", "xlsx", "csv", "pptx", "odt"])
def test_by_a_process_that_waited(
    sample: Callable[[str], Path], warm: Converter, tmp_path: Path, source: str
) -> None:
    (tmp_path / f"in.{source}").write_bytes(sample(source).read_bytes())
    one_waits(warm)
    result = warm.step(Step("libreoffice", source, "pdf"), tmp_path)
    assert waited(tmp_path)
    assert samples.SENTENCE[:9] in reading.words(result.path, "pdf")


def test_another_profile_is_not_waited_for(
    sample: Callable[[str], Path], warm: Converter, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_bytes(sample("csv").read_bytes())
    warm.step(Step("libreoffice", "csv", "pdf", {"paper": "letter"}), tmp_path)
    assert not waited(tmp_path)


def test_a_process_that_waited_fails_like_any(
    sample: Callable[[str], Path], warm: Converter, tmp_path: Path
) -> None:
    (tmp_path / "in.docx").write_bytes(sample("docx").read_bytes())
    one_waits(warm)
    with pytest.raises(BadOptions):
        warm.step(Step("libreoffice", "docx", "pdf", {"pages": "99"}), tmp_path)
    assert waited(tmp_path)


def test_a_process_that_waited_is_cancelled(warm: Converter, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("the quick brown fox\n" * 300_000)
    one_waits(warm)
    source = tmp_path / "in.txt"
    with pytest.raises(Cancelled):  # as soon as it has the document
        warm.step(Step("libreoffice", "txt", "pdf"), tmp_path, stopped=lambda: not source.exists())
    assert waited(tmp_path)


# What must not be converted -----------------------------------------------------------


@pytest.mark.parametrize("source", sorted({route.source for route in ENGINE.routes}))
def test_empty(run: Run, tmp_path: Path, source: str) -> None:
    path = tmp_path / f"in.{source}"
    path.touch()
    with pytest.raises(FileInvalid, match="empty"):
        run(path, source, "pdf")


@pytest.mark.parametrize("source", ["docx", "odt", "xlsx", "ods", "pptx", "odp", "doc", "xls"])
def test_truncated(sample: Callable[[str], Path], run: Run, tmp_path: Path, source: str) -> None:
    path = tmp_path / f"in.{source}"
    whole = sample(source).read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(FileInvalid):
        run(path, source, "pdf")


@pytest.mark.parametrize(
    ("claimed", "is_"),
    [
        *(("docx", "xlsx"), ("xlsx", "docx"), ("pptx", "odp"), ("odt", "ods"), ("ods", "odt")),
        *(("doc", "xls"), ("xls", "doc"), ("ppt", "doc"), ("docx", "doc"), ("doc", "docx")),
        *(("rtf", "txt"), ("csv", "xlsx"), ("txt", "docx"), ("xls", "rtf"), ("odt", "txt")),
    ],
)
def test_mislabelled(
    sample: Callable[[str], Path], run: Run, tmp_path: Path, claimed: str, is_: str
) -> None:
    path = tmp_path / f"in.{claimed}"
    path.write_bytes(sample(is_).read_bytes())
    with pytest.raises(FileInvalid) as caught:
        run(path, claimed, "pdf")
    assert caught.value.hint


def test_damaged_inside(sample: Callable[[str], Path], run: Run, tmp_path: Path) -> None:
    """A zip that is whole, with a document inside that is not."""
    for content, fault in ((b"<w:document>", FileInvalid), (b"", FileInvalid)):
        with (
            zipfile.ZipFile(sample("docx")) as whole,
            zipfile.ZipFile(tmp_path / "in.docx", "w") as broken,
        ):
            for name in whole.namelist():
                broken.writestr(name, content if name == "word/document.xml" else whole.read(name))
        with pytest.raises(fault):
            run(tmp_path / "in.docx", "docx", "pdf")


def test_a_bomb(sample: Callable[[str], Path], run: Run, tmp_path: Path) -> None:
    path = tmp_path / "in.docx"
    path.write_bytes(sample("docx").read_bytes())
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("word/media/bomb.xml", "w", force_zip64=True) as bomb,
    ):
        for _ in range(100):
            bomb.write(bytes(1 << 20))
    with pytest.raises(LimitExceeded) as caught:
        run(path, "docx", "pdf")
    assert caught.value.details["limit"] == "ratio"


def _long_csv(path: Path) -> None:
    path.write_text("id,name\n" + "1,x\n" * 65_536)


def _ragged_csv(path: Path) -> None:
    path.write_text("id,name\n1,x,y\n" + "1,x\n" * 65_535)


def _long_xlsx(path: Path) -> None:
    """It is the second sheet that is long, and it does not begin in A1."""
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["a"])
    book.create_sheet().cell(65_537, 2, "x")
    book.save(path)


def _wide_xlsx(path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(range(257))
    book.save(path)


def _long_ods(path: Path) -> None:
    _ods(path, rows=65_537)


def _wide_ods(path: Path) -> None:
    _ods(path, columns=257)


def _ods(path: Path, rows: int = 1, columns: int = 1) -> None:
    """Cells that are alike, and empty ones to the sheet's end, which are no content."""
    from odf import opendocument, table
    from odf.text import P

    book = opendocument.OpenDocumentSpreadsheet()
    sheet = table.Table(name="One")
    row = table.TableRow(numberrowsrepeated=rows)
    cell = table.TableCell(valuetype="string", numbercolumnsrepeated=columns)
    cell.addElement(P(text="x"))
    row.addElement(cell)
    sheet.addElement(row)
    rest = table.TableRow(numberrowsrepeated=1_048_576 - rows)
    rest.addElement(table.TableCell(numbercolumnsrepeated=1_024))
    sheet.addElement(rest)
    book.spreadsheet.addElement(sheet)
    book.save(path)


@pytest.mark.parametrize(
    ("make", "source", "limit", "value", "allowed"),
    [
        (_long_csv, "csv", "rows", 65_537, 65_536),
        (_ragged_csv, "csv", "rows", 65_537, 65_536),
        (_long_xlsx, "xlsx", "rows", 65_537, 65_536),
        (_wide_xlsx, "xlsx", "columns", 257, 256),
        (_long_ods, "ods", "rows", 65_537, 65_536),
        (_wide_ods, "ods", "columns", 257, 256),
    ],
)
def test_no_row_is_cut_off(
    run: Run,
    tmp_path: Path,
    make: Callable[[Path], None],
    source: str,
    limit: str,
    value: int,
    allowed: int,
) -> None:
    make(path := tmp_path / f"in.{source}")
    with pytest.raises(LimitExceeded, match="a sheet holds") as caught:
        run(path, source, "xls")
    assert caught.value.details == {"limit": limit, "value": value, "allowed": allowed}


def test_a_full_sheet(run: Run, tmp_path: Path) -> None:
    _ods(path := tmp_path / "in.ods", rows=65_536)
    back = run(run(path, "ods", "xls").path, "xls", "csv")
    assert back.facts.rows == 65_536


@pytest.mark.parametrize("target", ["ods", "pdf"])
def test_a_table_that_no_sheet_holds(run: Run, tmp_path: Path, target: str) -> None:
    path = tmp_path / "in.csv"
    path.write_text("1,2\n" * 1_048_577)
    with pytest.raises(LimitExceeded, match="1048577 rows"):
        run(path, "csv", target)


# Pure parts -------------------------------------------------------------------------


def task(source: str = "docx", target: str = "pdf", **options: Any) -> Task:
    return Task(source, target, f"in.{source}", f"out.{target}", options, Facts(source, 1))


def test_no_filter_is_left_to_the_content() -> None:
    for source, target in ROUTES:
        command = build(task(source, target)).processes[-1]
        assert isinstance(command, Command)
        assert any(argument.startswith("--infilter=") for argument in command.argv)
        written = command.argv[command.argv.index("--convert-to") + 1]
        assert written.startswith(f"{target}:")
        assert len(written) > len(target) + 1


def test_profile_says_the_installed_version() -> None:
    version, build_id = installed()
    assert version.replace(".", "").isdigit()
    (command,) = build(task()).processes
    assert isinstance(command, Command)
    files = command.files
    registry = next(data for name, data in files.items() if name.endswith(".xcu"))
    assert f"<value>{version}</value>".encode() in bytes(registry)
    assert build_id.encode() in files.values()


@pytest.mark.parametrize(
    ("ended", "error"),
    [
        (Exit(0, stderr="Error: source file could not be loaded\n"), FileInvalid),
        (Exit(0), EngineError),
        (Exit(-11), EngineError),
        (Exit(0, stderr="impl_store failed: 0xc10(Error Area:Io"), BadOptions),
    ],
)
def test_diagnose(ended: Exit, error: type[FilemillError]) -> None:
    assert type(diagnose("LibreOffice", ended)) is error
