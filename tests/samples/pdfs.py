"""PDFs written by hand: pages of 288 x 144 points, each with its number as text on a red square."""

from __future__ import annotations

from pathlib import Path

WIDTH, HEIGHT = 288, 144


def make(path: Path, pages: int = 1, *, size: tuple[float, float] = (WIDTH, HEIGHT)) -> Path:
    """ISO 32000-2, the least of it: catalog, page tree, one font, a stream a page."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count %d /Kids [%s] >>"
        % (pages, b" ".join(b"%d 0 R" % (4 + 2 * page) for page in range(pages))),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for page in range(pages):
        drawing = b"1 0 0 rg 0 %d 72 72 re f 0 g " % (HEIGHT - 72)
        drawing += b"BT /F1 24 Tf 90 60 Td (This is page %d) Tj ET" % (page + 1)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %g %g] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % (*size, 5 + 2 * page)
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawing), drawing))
    data, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    trailer = b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table)
    trailer += b"trailer\n<< /Size %d /Root 1 0 R >>\n" % (len(objects) + 1)
    trailer += b"startxref\n%d\n%%%%EOF\n" % len(data)
    path.write_bytes(data + trailer)
    return path
