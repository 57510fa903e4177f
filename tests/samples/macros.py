"""OpenDocument files with a Basic library that acts as soon as the document is opened."""

from __future__ import annotations

import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

EFFECT = "effect.txt"
"""What the macro writes in the private directory."""
SEEN = "Hello from the document."

_KINDS = {
    "odt": ("text", "<text:p>{seen}</text:p>"),
    "odp": (
        "presentation",
        '<draw:page draw:name="One"><draw:frame svg:width="20cm" svg:height="5cm"><draw:text-box>'
        "<text:p>{seen}</text:p></draw:text-box></draw:frame></draw:page>",
    ),
}
"""Format -> what such a document is, and its content."""
KINDS = tuple(_KINDS)
_NAMES = "urn:oasis:names:tc:opendocument:xmlns:"
_BASIC = """Sub Main
    Dim file As Integer
    file = FreeFile
    Open "/proc/self/cwd/{effect}" For Output As #file
    Print #file, "The macro was here."
    Close #file
    On Error Resume Next
    reader = createUnoService("com.sun.star.ucb.SimpleFileAccess")
    fetched = reader.openFileRead("{uri}")
End Sub
Sub AutoOpen
    Main
End Sub
"""


def make(path: Path, uri: str) -> Path:
    """A document of the kind that its name says; it writes `EFFECT` and fetches `uri` when it is
    loaded."""
    basic = _BASIC.format(effect=EFFECT, uri=uri)
    kind, content = _KINDS[path.suffix[1:]]
    parts = {
        "content.xml": _content(kind, content.format(seen=SEEN)),
        "Basic/script-lc.xml": _listed(
            "libraries",
            '<library:library library:name="Standard" library:link="false"/>',
        ),
        "Basic/Standard/script-lb.xml": _listed(
            "library",
            '<library:element library:name="Module1"/>',
            'library:name="Standard" library:readonly="false" library:passwordprotected="false"',
        ),
        "Basic/Standard/Module1.xml": '<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE '
        'script:module PUBLIC "-//OpenOffice.org//DTD OfficeDocument 1.0//EN" "module.dtd">'
        '<script:module xmlns:script="http://openoffice.org/2000/script" script:name="Module1" '
        f'script:language="StarBasic">{escape(basic)}</script:module>',
    }
    entries = "".join(
        f'<manifest:file-entry manifest:full-path="{name}" manifest:media-type="text/xml"/>'
        for name in parts
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", f"application/vnd.oasis.opendocument.{kind}")
        for name, text in parts.items():
            archive.writestr(name, text)
        archive.writestr(
            "META-INF/manifest.xml",
            f'<manifest:manifest xmlns:manifest="{_NAMES}manifest:1.0" manifest:version="1.2">'
            '<manifest:file-entry manifest:full-path="/" manifest:media-type="application/'
            f'vnd.oasis.opendocument.{kind}"/>{entries}</manifest:manifest>',
        )
    return path


def _content(kind: str, content: str) -> str:
    spaces = (
        "".join(f' xmlns:{short}="{_NAMES}{short}:1.0"' for short in ("office", "text", "script"))
        + f' xmlns:draw="{_NAMES}drawing:1.0" xmlns:svg="{_NAMES}svg-compatible:1.0"'
    )
    listeners = "".join(
        f'<script:event-listener script:language="ooo:script" script:event-name="{event}" '
        'xlink:type="simple" xlink:href="vnd.sun.star.script:Standard.Module1.Main?'
        'language=Basic&amp;location=document"/>'
        for event in ("dom:load", "office:load-finished")
    )
    return (
        f'<office:document-content{spaces} xmlns:xlink="http://www.w3.org/1999/xlink" '
        'xmlns:ooo="http://openoffice.org/2004/office" '
        'xmlns:dom="http://www.w3.org/2001/xml-events" office:version="1.2"><office:scripts>'
        '<office:script script:language="ooo:Basic"><ooo:libraries><ooo:library-embedded '
        'ooo:name="Standard"/></ooo:libraries></office:script><office:event-listeners>'
        f"{listeners}</office:event-listeners></office:scripts><office:body>"
        f"<office:{kind}>{content}</office:{kind}></office:body></office:document-content>"
    )


def _listed(kind: str, items: str, attributes: str = "") -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE library:{kind} PUBLIC '
        f'"-//OpenOffice.org//DTD OfficeDocument 1.0//EN" "{kind}.dtd"><library:{kind} '
        'xmlns:library="http://openoffice.org/2000/library" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink" {attributes}>{items}</library:{kind}>'
    )
