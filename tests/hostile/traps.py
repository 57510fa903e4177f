"""What the attacks are after: secrets planted on this host, and doors that count who knocks."""

from __future__ import annotations

import base64
import secrets
import shutil
import socket
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from PIL import Image

COLOUR = (126, 87, 161)
"""Of the planted picture; no sample and no engine draws in it."""
NEAR = 6


@dataclass(frozen=True, slots=True)
class Traps:
    folder: Path
    """Holds `secret.<kind>` for every kind of file that something may want to include."""
    secret: str
    port: int
    hits: list[str] = field(default_factory=list)
    """The first bytes of every connection that reached us."""

    def file(self, kind: str = "txt") -> str:
        return str(self.folder / f"secret.{kind}")

    def uri(self, kind: str = "txt") -> str:
        return f"file://{self.file(kind)}"

    def http(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"

    def leaked(self, path: Path) -> bool:
        """Whether the secret, or the planted picture, is in a file."""
        return self.in_bytes(path.read_bytes()) or _drawn(path)

    def in_bytes(self, data: bytes, depth: int = 0) -> bool:
        if any(form in data for form in self._forms()):
            return True
        if depth < 2 and data.startswith(b"PK\x03\x04"):
            with suppress(zipfile.BadZipFile), zipfile.ZipFile(BytesIO(data)) as archive:
                return any(
                    self.in_bytes(archive.read(entry), depth + 1) or _coloured(archive.read(entry))
                    for entry in archive.infolist()
                    if entry.file_size < 50_000_000
                )
        return False

    def _forms(self) -> Iterator[bytes]:
        """The secret as it is, in UTF-16, and in base64 wherever it starts."""
        for text in (self.secret.encode(), self.secret.encode("utf-16-le")):
            yield text
            for shift in range(3):
                yield base64.b64encode(bytes(shift) + text)[4:-4]


@contextmanager
def planted() -> Iterator[Traps]:
    """Traps that any user of this host may read and reach."""
    # Not pytest's folder: that is closed, and what cannot be reached proves nothing.
    folder = Path(tempfile.mkdtemp(prefix="filemill-traps-"))
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    traps = Traps(folder, f"SECRET{secrets.token_hex(12)}", listener.getsockname()[1])
    plant(folder, traps.secret)
    threading.Thread(target=_answer, args=(listener, traps), daemon=True).start()
    try:
        yield traps
    finally:
        listener.close()
        shutil.rmtree(folder)


def plant(folder: Path, secret: str) -> None:
    texts = {
        "txt": f"{secret}\n",
        "csv": f"{secret},2\n3,4\n",
        "md": f"# {secret}\n",
        "html": f"<html><body><p>{secret}</p></body></html>",
        "tex": f"{secret}\n",
        "sty": rf"\newcommand{{\leak}}{{{secret}}}",
        "xml": f"<note>{secret}</note>",
        "rtf": rf"{{\rtf1\ansi {secret}\par}}",
        "css": f"body {{ content: '{secret}'; }}",
        "bib": f"@book{{leak, title={{{secret}}}, author={{A}}, year={{2000}}}}\n",
        "srt": f"1\n00:00:00,000 --> 00:00:01,000\n{secret}\n",
    }
    for kind, text in texts.items():
        (folder / f"secret.{kind}").write_text(text)
    Image.new("RGB", (64, 64), COLOUR).save(folder / "secret.png")
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(0o644)


def _answer(listener: socket.socket, traps: Traps) -> None:
    """Count whoever connects, by HTTP or not, and tell it the secret."""
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client, suppress(OSError):
            client.settimeout(1)
            asked = ""
            with suppress(TimeoutError):
                asked = client.recv(4096).decode(errors="replace")
            traps.hits.append(asked.splitlines()[0] if asked else "(no words)")
            body = f"<p>{traps.secret}</p>".encode()
            head = f"HTTP/1.0 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
            client.sendall(head.encode() + body)


def _drawn(path: Path) -> bool:
    """Whether the words or the colour are on a page or in a picture."""
    data = path.read_bytes()
    if data.startswith(b"%PDF-"):
        import pypdfium2

        with pypdfium2.PdfDocument(data) as document:
            for page in list(document)[:20]:
                text = page.get_textpage().get_text_range()
                if "SECRET" in text.replace("\r\n", "") or _has(page.render().to_pil()):
                    return True
        return False
    return _coloured(data)


def _coloured(data: bytes) -> bool:
    try:
        with Image.open(BytesIO(data)) as image:
            return image.width * image.height < 4_000_000 and _has(image)
    except Exception:  # no picture at all
        return False


def _has(image: Image.Image) -> bool:
    """The planted colour, on more than a speck."""
    small = image.convert("RGB").resize((64, 64), Image.Resampling.NEAREST)
    near = sum(
        all(abs(a - b) <= NEAR for a, b in zip(pixel, COLOUR, strict=True))
        for pixel in small.get_flattened_data()
    )
    return near > 3
