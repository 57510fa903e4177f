"""POST /v1/convert against the bare engine's command line, on the same files, in one run.

    .venv/bin/python -m bench.overhead

With the same settings: where they say nothing, with ours. `bare` starts the engine as a user would
on the command line (a Python one-liner for engines that are libraries); `library` is the call alone
in a warm process; `isolated` is our conversion without the service: looked at, converted and
verified in a sandbox of its own.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import pypandoc
import pypdfium2
import pyvips
from PIL import Image

from bench.measure import medians, server, table
from filemill.model import Plan
from filemill.workshop import Workshop

TIMES = 15
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
PANDOC = pypandoc.get_pandoc_path()
PYTHON = sys.executable


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        # LibreOffice is none of this; the processes that wait would rehearse meanwhile.
        server(warm_office="0") as served,
        Workshop.here().open(preload=True) as converter,
    ):
        here = Path(folder)
        make_files(here)
        host = served.url.removeprefix("http://")
        rows = []
        for engine, name, target, bare, library in cases(here):
            content = (here / name).read_bytes()
            plan = Workshop.here().graph.plan(Path(name).suffix[1:], target)

            def ours(content: bytes = content, name: str = name, target: str = target) -> None:
                line = http.client.HTTPConnection(host)
                path = f"/v1/convert?target={target}&filename={name}"
                line.request("POST", path, content, served.headers)
                resp = line.getresponse()
                assert resp.read()
                assert resp.status == 200
                line.close()

            def alone(bare: list[str] = bare) -> None:
                subprocess.run(bare, cwd=here, check=True, capture_output=True)

            def isolated(plan: Plan = plan, name: str = name) -> None:
                with tempfile.TemporaryDirectory(dir=here) as room:
                    converter.convert(plan, here / name, Path(room))

            runs = (ours, alone, isolated, *([library] if library else []))
            took, own, inside, *rest = medians(*runs, times=TIMES)
            call = rest[0] if rest else None
            rows.append(
                [
                    engine,
                    f"{name} ({len(content) // 1024} kB) -> {target}",
                    f"{took * 1000:.0f} ms",
                    f"{own * 1000:.0f} ms",
                    f"{took / own:.2f}",
                    f"{inside * 1000:.0f} ms",
                    f"{call * 1000:.0f} ms" if call else "",
                    f"{(inside - call) * 1000:+.0f} ms" if call else "",
                ]
            )
        head = ["engine", "conversion", "ours", "bare", "ours/bare", "isolated", "library"]
        table([*head, "isolated over it"], rows)


def make_files(here: Path) -> None:
    noise = pyvips.Image.gaussnoise(1200, 900, sigma=30, mean=128).cast("uchar")
    noise.bandjoin([noise.rot180(), noise.fliphor()]).write_to_file(str(here / "photo.jpg"), Q=90)
    Image.open(here / "photo.jpg").save(here / "photo.bmp")
    text = "# Report\n\n" + "Revenue rose by *seven* percent in the third quarter.\n\n" * 60
    (here / "report.md").write_text(text)
    subprocess.run([PANDOC, "report.md", "-o", "report.docx"], cwd=here, check=True)
    (here / "table.csv").write_text(
        "id,name,amount\n" + "".join(f"{n},row {n},{n * 1.5}\n" for n in range(20_000))
    )
    Image.open(here / "photo.jpg").save(here / "page.pdf")
    lavfi = [FFMPEG, "-v", "error", "-f", "lavfi", "-i"]
    subprocess.run([*lavfi, "sine=duration=10", "tone.wav"], cwd=here, check=True)
    video = "testsrc2=size=640x360:rate=30:duration=5"
    subprocess.run([*lavfi, video, "-pix_fmt", "yuv420p", "film.mkv"], cwd=here, check=True)


Case = tuple[str, str, str, list[str], Callable[[], object] | None]


def cases(here: Path) -> list[Case]:
    photo, page = str(here / "photo.jpg"), str(here / "page.pdf")
    pyvips.cache_set_max(0)  # else the library call decodes the picture once, for all times
    vips = "import pyvips; pyvips.Image.new_from_file('photo.jpg').write_to_file('o.webp', Q=80)"
    pillow = "from PIL import Image; Image.open('photo.jpg').save('o.bmp')"
    pdfium = (
        "import pypdfium2 as p; p.PdfDocument('page.pdf')[0].render(scale=150/72).to_pil()"
        ".save('o.png')"
    )
    duck = "import duckdb; duckdb.sql(\"copy 'table.csv' to 'o.parquet'\")"
    found: list[Case] = [
        (
            "vips",
            "photo.jpg",
            "webp",
            [PYTHON, "-c", vips],
            lambda: pyvips.Image.new_from_file(photo).write_to_file(str(here / "o.webp"), Q=80),
        ),
        (
            "pillow",
            "photo.jpg",
            "bmp",
            [PYTHON, "-c", pillow],
            lambda: Image.open(photo).save(here / "o.bmp"),
        ),
        (
            "pdfium",
            "page.pdf",
            "png",
            [PYTHON, "-c", pdfium],
            lambda: (
                pypdfium2.PdfDocument(page)[0].render(scale=150 / 72).to_pil().save(here / "o.png")
            ),
        ),
        ("tables", "table.csv", "parquet", [PYTHON, "-c", duck], None),
        ("pandoc", "report.md", "docx", [PANDOC, "report.md", "-o", "o.docx"], None),
        ("ffmpeg", "tone.wav", "mp3", [FFMPEG, "-y", "-i", "tone.wav", "o.mp3"], None),
        (
            "ffmpeg (copy)",
            "film.mkv",
            "mp4",
            [FFMPEG, "-y", "-i", "film.mkv", "-c", "copy", "o.mp4"],
            None,
        ),
    ]
    return found


if __name__ == "__main__":
    main()
