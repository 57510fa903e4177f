"""A PDF of pictures, one a page, written as a stream (ISO 32000-1). Floor 1.

Pillow's own writer holds all pages in memory, or writes all of them anew for each that is added.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any, BinaryIO

_SPACE = {"1": b"DeviceGray", "L": b"DeviceGray", "RGB": b"DeviceRGB"}
_CATALOG, _TREE = 1, 2


@dataclass(slots=True)
class Pages:
    """Objects 1 and 2 are the catalog and the page tree; then come three for each page."""

    file: BinaryIO
    places: dict[int, int] = field(default_factory=dict)
    """Object number -> where it begins."""
    count: int = 0

    def __post_init__(self) -> None:
        self.file.write(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")

    def add(self, image: Any, resolution: float, quality: int) -> None:
        """A page of the size that `image` (Pillow's, of mode 1, L or RGB) has at `resolution`,
        pixels an inch. `quality`: of JPEG; mode 1 is kept as it is."""
        page = 3 + 3 * self.count
        self.count += 1
        bits = image.mode == "1"
        data, coding = _fax(image) if bits else _jpeg(image, quality)
        width, height = (side * 72 / resolution for side in image.size)
        self._write(
            page,
            b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 %f %f] /Contents %d 0 R "
            b"/Resources << /XObject << /p %d 0 R >> >> >>"
            % (_TREE, width, height, page + 1, page + 2),
        )
        self._write(page + 1, b"<< %b>>", b"q %f 0 0 %f 0 0 cm /p Do Q" % (width, height))
        self._write(
            page + 2,
            b"<< /Type /XObject /Subtype /Image /Width %d /Height %d /BitsPerComponent %d "
            b"/ColorSpace /%b %b %%b>>"
            % (*image.size, 1 if bits else 8, _SPACE[image.mode], coding),
            data,
        )

    def close(self) -> None:
        """Write the end; the file itself stays open."""
        pages = b" ".join(b"%d 0 R" % (3 + 3 * number) for number in range(self.count))
        self._write(_TREE, b"<< /Type /Pages /Count %d /Kids [%b] >>" % (self.count, pages))
        self._write(_CATALOG, b"<< /Type /Catalog /Pages %d 0 R >>" % _TREE)
        start, size = self.file.tell(), len(self.places) + 1
        self.file.write(b"xref\n0 %d\n0000000000 65535 f \n" % size)
        for number in range(1, size):
            self.file.write(b"%010d 00000 n \n" % self.places[number])
        self.file.write(
            b"trailer\n<< /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n"
            % (size, _CATALOG, start)
        )

    def _write(self, number: int, dictionary: bytes, stream: bytes | None = None) -> None:
        self.places[number] = self.file.tell()
        self.file.write(b"%d 0 obj\n" % number)
        if stream is None:
            self.file.write(dictionary)
        else:
            self.file.write(dictionary % (b"/Length %d " % len(stream)))
            self.file.write(b"\nstream\n" + stream + b"\nendstream")
        self.file.write(b"\nendobj\n")


def _jpeg(image: Any, quality: int) -> tuple[bytes, bytes]:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue(), b"/Filter /DCTDecode"


def _fax(image: Any) -> tuple[bytes, bytes]:
    """Group 4 (ITU-T T.6), in one strip, as TIFF holds it."""
    from PIL import Image

    buffer = io.BytesIO()
    strip = (image.width + 7) // 8 * image.height
    image.save(buffer, "TIFF", compression="group4", strip_size=strip)
    with Image.open(buffer, formats=["TIFF"]) as written:
        tags: Any = written.tag_v2  # type: ignore[attr-defined]
        ((start,), (length,)) = tags[273], tags[279]
    parameters = b"/K -1 /BlackIs1 true /Columns %d /Rows %d" % image.size
    data = buffer.getvalue()[start : start + length]
    return data, b"/Filter /CCITTFaxDecode /DecodeParms << %b >>" % parameters
