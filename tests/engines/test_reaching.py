"""Documents and films that reach for a file of this host or an address: what the engine's own
flags stop, with the sandbox taken away."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from filemill.engine import Command, Engine, Task
from filemill.engines import ffmpeg, libreoffice
from filemill.model import Facts
from filemill.sandbox.room import place
from hostile.attacks.media import borrowed
from hostile.traps import Traps
from samples import documents, hostile, media


def bare(engine: Engine, task: Task, room: Path) -> int:
    """Run what the engine would, in `room`, confined by nothing."""
    work = engine.build(task)
    code = 0
    for process in work.processes:
        if not isinstance(process, Command):
            continue
        place(process.files, room)
        program = next(tool.find() for tool in engine.tools if tool.name == process.argv[0])
        assert program
        environment = {"PATH": os.environ["PATH"], **process.env}
        code = subprocess.run(
            [program, *process.argv[1:]],
            cwd=room,
            env=environment,
            capture_output=True,
            timeout=120,
        ).returncode
    return code


def office(source: str, target: str, room: Path) -> Path:
    facts = Facts(source, 1, pages=1)
    bare(
        libreoffice.ENGINE,
        Task(source, target, f"in.{source}", f"out.{target}", {}, facts),
        room,
    )
    return room / f"in.{target}"


@pytest.mark.skipif(libreoffice.find() is None, reason="LibreOffice is not installed")
@pytest.mark.parametrize("kind", ["odt", "docx", "rtf", "webservice"])
def test_office_fetches_nothing(kind: str, traps: Traps, tmp_path: Path) -> None:
    uri = traps.http("x.png")
    source = "ods" if kind == "webservice" else kind
    path = tmp_path / f"in.{source}"
    match kind:
        case "rtf":
            field = f'{{\\field{{\\*\\fldinst INCLUDEPICTURE "{uri}" \\\\d}}{{\\fldrslt x}}}}'
            path.write_text(f"{{\\rtf1 seen {field}}}")
        case "docx":
            plain = documents.make("docx", tmp_path / "plain.docx")
            with zipfile.ZipFile(plain) as archive:
                relations = archive.read("word/_rels/document.xml.rels").decode()
                body = archive.read("word/document.xml").decode()
            kind_of = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
            link = (
                f'<Relationship Id="rOut" Type="{kind_of}/image" Target="{uri}" '
                'TargetMode="External"/></Relationships>'
            )
            picture = (
                '<w:p><w:r><w:pict xmlns:v="urn:schemas-microsoft-com:vml" '
                f'xmlns:r="{kind_of}"><v:shape style="width:50pt;height:50pt">'
                '<v:imagedata r:id="rOut"/></v:shape></w:pict></w:r></w:p>'
            )
            at = body.index("<w:body>") + len("<w:body>")
            parts = {
                "word/_rels/document.xml.rels": relations.replace("</Relationships>", link),
                "word/document.xml": body[:at] + picture + body[at:],
            }
            hostile.repacked(plain, path, {name: text.encode() for name, text in parts.items()})
        case "odt" | "webservice":
            plain = documents.make(source, tmp_path / f"plain.{source}")
            with zipfile.ZipFile(plain) as archive:
                body = archive.read("content.xml").decode()
            if kind == "odt":
                names = "urn:oasis:names:tc:opendocument:xmlns"
                inside = (
                    f'<draw:frame xmlns:draw="{names}:drawing:1.0" '
                    f'xmlns:svg="{names}:svg-compatible:1.0" svg:width="1cm" svg:height="1cm">'
                    f'<draw:image xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="{uri}" '
                    'xlink:type="simple" xlink:show="embed" xlink:actuate="onLoad"/></draw:frame>'
                )
                body = body.replace("</text:p>", f"{inside}</text:p>", 1)
                assert inside in body
            else:
                names = "urn:oasis:names:tc:opendocument:xmlns"
                cell = (
                    f'<table:table-cell xmlns:table="{names}:table:1.0" '
                    f'table:formula="of:=COM.MICROSOFT.WEBSERVICE(&quot;{uri}&quot;)"/>'
                )
                body = body.replace("</table:table-row>", f"{cell}</table:table-row>", 1)
                assert cell in body
            hostile.repacked(plain, path, {"content.xml": body.encode()})
    assert office(source, "pdf", tmp_path).is_file()
    assert not traps.hits


@pytest.mark.parametrize("kind", ["ffconcat", "hls", "dash"])
@pytest.mark.parametrize("name", ["mp4", "mkv", "avi", "ts"])
def test_films_read_no_other_file(kind: str, name: str, traps: Traps, tmp_path: Path) -> None:
    media.make("mp4", tmp_path / "other.mp4")
    uri = traps.http("x.ts")
    lists = {
        "ffconcat": "ffconcat version 1.0\nfile other.mp4\n",
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.mp4\n#EXTINF:1,\n{uri}\n",
        "dash": f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet>'
        f"<Representation><BaseURL>{uri}</BaseURL></Representation></AdaptationSet></Period></MPD>",
    }
    (tmp_path / f"in.{name}").write_text(lists[kind])
    target = "webm" if name != "webm" else "mkv"
    facts = Facts(name, 1, duration=1.0, width=9, height=9, video_codec="h264")
    task = Task(name, target, f"in.{name}", f"out.{target}", {}, facts)
    assert bare(ffmpeg.ENGINE, task, tmp_path) != 0
    assert not traps.hits
    out = tmp_path / f"out.{target}"
    assert not out.exists() or out.stat().st_size < 2000


@pytest.mark.parametrize("told", [False, True])
def test_sound_of_a_film_that_is_elsewhere(told: bool, traps: Traps, tmp_path: Path) -> None:
    """FFmpeg reads it when it is told to, and only then: so the attacks that try it are real."""
    borrowed(-1, -1)(tmp_path / "in.mov", traps)
    flags = ("-enable_drefs", "1", "-use_absolute_path", "1") if told else ()
    media.run(*flags, "-i", str(tmp_path / "in.mov"), str(tmp_path / "out.wav"))
    assert traps.leaked(tmp_path / "out.wav") == told
