"""Files that are protected with a password, one for each format that can be."""

from __future__ import annotations

import struct
import tempfile
import zipfile
from pathlib import Path

from samples import documents

PASSWORD = "open sesame"
FORMATS = ("docx", "xlsx", "pptx", "odt", "ods", "odp", "doc", "xls", "ppt", "pdf", "zip")


def make(format_id: str, path: Path) -> Path:
    match format_id:
        case "docx" | "xlsx" | "pptx":
            _ooxml(format_id, path)
        case "odt" | "ods" | "odp":
            _odf(format_id, path)
        case "doc" | "xls" | "ppt":
            _ole(format_id, path)
        case "pdf":
            import pikepdf

            with pikepdf.new() as document:
                document.add_blank_page()
                locks = pikepdf.Encryption(user=PASSWORD, owner=PASSWORD)
                document.save(path, encryption=locks)
        case "zip":
            _zip(path)
        case _:
            raise ValueError(format_id)
    return path


def _ooxml(format_id: str, path: Path) -> None:
    """An OLE file with an EncryptedPackage ([MS-OFFCRYPTO] 2.3.4.10)."""
    from msoffcrypto.format.ooxml import OOXMLFile

    with tempfile.TemporaryDirectory() as folder:
        plain = documents.make(format_id, Path(folder) / f"plain.{format_id}")
        with plain.open("rb") as file, path.open("wb") as locked:
            OOXMLFile(file).encrypt(PASSWORD, locked)


def _odf(format_id: str, path: Path) -> None:
    """The content is noise, and the manifest says how it was locked (ODF 1.2 part 3, 3.4)."""
    with tempfile.TemporaryDirectory() as folder:
        plain = documents.make(format_id, Path(folder) / f"plain.{format_id}")
        with zipfile.ZipFile(plain) as whole, zipfile.ZipFile(path, "w") as locked:
            for name in whole.namelist():
                data = whole.read(name)
                if name == "content.xml":
                    data = bytes(number * 7919 % 251 for number in range(2000))
                if name == "META-INF/manifest.xml":
                    data = data.replace(b"</manifest:manifest>", _ENCRYPTED)
                    assert _ENCRYPTED in data
                locked.writestr(name, data)


_ENCRYPTED = b"""<manifest:file-entry manifest:full-path="content.xml"
 manifest:media-type="text/xml" manifest:size="4000"><manifest:encryption-data
 manifest:checksum-type="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0#sha256-1k"
 manifest:checksum="AAAA"><manifest:algorithm manifest:algorithm-name=
 "http://www.w3.org/2001/04/xmlenc#aes256-cbc" manifest:initialisation-vector="AAAA"/>
 <manifest:key-derivation manifest:key-derivation-name="PBKDF2" manifest:key-size="32"
 manifest:iteration-count="100000" manifest:salt="AAAA"/></manifest:encryption-data>
</manifest:file-entry></manifest:manifest>"""


def _ole(format_id: str, path: Path) -> None:
    """What says so, set in a file that is open: these programs' own ciphers are in no library."""
    data = bytearray(documents.make(format_id, path).read_bytes())
    match format_id:
        case "doc":  # FibBase.fEncrypted ([MS-DOC] 2.5.2)
            at = data.index(b"\xec\xa5") + 10
            flags = struct.unpack_from("<H", data, at)[0]
            struct.pack_into("<H", data, at, flags | 0x0100)
        case "xls":  # the record after BOF becomes a FilePass ([MS-XLS] 2.4.117)
            bof = data.index(b"\x09\x08\x10\x00\x00\x06\x05\x00")
            struct.pack_into("<H", data, bof + 4 + 16, 0x002F)
        case "ppt":  # its summary has another name then ([MS-PPT] 2.3.3.2)
            usual = "\x05SummaryInformation\0".encode("utf-16-le")
            name = "EncryptedSummary\0".encode("utf-16-le")
            at = data.index(usual)
            data[at : at + 64] = name.ljust(64, b"\0")
            struct.pack_into("<H", data, at + 64, len(name))
    path.write_bytes(data)


def _zip(path: Path) -> None:
    """The stdlib writes none: the flag of both headers (APPNOTE 4.4.4), and 12 bytes of noise."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("secret.txt", bytes(range(50)))
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    path.write_bytes(data)
