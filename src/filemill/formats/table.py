"""The format table: one row a format. Everything that lists formats is made from it."""

from __future__ import annotations

from collections.abc import Mapping

from filemill.errors import UnsupportedRoute
from filemill.model import Category, Format

_D, _S, _P = Category.DOCUMENT, Category.SPREADSHEET, Category.PRESENTATION
_E, _I, _V = Category.EBOOK, Category.IMAGE, Category.VECTOR
_M, _A, _T, _Z = Category.VIDEO, Category.AUDIO, Category.DATA, Category.ARCHIVE

_OOXML = "application/vnd.openxmlformats-officedocument."
_ODF = "application/vnd.oasis.opendocument."

# fmt: off
_ROWS = (
    # id, title, category, extensions, media types
    Format("pdf", "Portable Document Format", _D, ("pdf",), ("application/pdf", "application/x-pdf")),
    Format("docx", "Word document", _D, ("docx",), (_OOXML + "wordprocessingml.document",), editable=True),
    Format("doc", "Word 97-2003 document", _D, ("doc",), ("application/msword",), editable=True),
    Format("odt", "OpenDocument text", _D, ("odt",), (_ODF + "text",), editable=True),
    Format("rtf", "Rich Text Format", _D, ("rtf",), ("application/rtf", "text/rtf"), editable=True),
    Format("txt", "Plain text", _D, ("txt", "text", "log"), ("text/plain",), editable=True, text=True),
    Format("md", "Markdown", _D, ("md", "markdown"), ("text/markdown",), editable=True, text=True),
    Format("html", "HTML", _D, ("html", "htm", "xhtml"), ("text/html", "application/xhtml+xml"), editable=True, text=True),
    Format("rst", "reStructuredText", _D, ("rst",), ("text/x-rst",), editable=True, text=True),
    Format("tex", "LaTeX", _D, ("tex", "latex"), ("application/x-tex", "application/x-latex"), editable=True, text=True),
    Format("org", "Org mode", _D, ("org",), ("text/org",), editable=True, text=True),
    Format("adoc", "AsciiDoc", _D, ("adoc", "asciidoc"), ("text/asciidoc",), editable=True, text=True),
    Format("textile", "Textile", _D, ("textile",), ("text/x-textile",), editable=True, text=True),
    Format("mediawiki", "MediaWiki markup", _D, ("mediawiki", "wiki"), ("text/x-wiki",), editable=True, text=True),
    Format("typst", "Typst", _D, ("typ", "typst"), ("text/x-typst",), editable=True, text=True),
    Format("docbook", "DocBook", _D, ("dbk", "docbook"), ("application/docbook+xml",), editable=True, text=True),
    Format("jats", "JATS article", _D, ("jats",), ("application/jats+xml",), editable=True, text=True),
    Format("opml", "OPML outline", _D, ("opml",), ("text/x-opml",), editable=True, text=True),
    Format("ipynb", "Jupyter notebook", _D, ("ipynb",), ("application/x-ipynb+json",), editable=True, text=True),
    Format("epub", "EPUB", _E, ("epub",), ("application/epub+zip",), editable=True),
    Format("fb2", "FictionBook", _E, ("fb2",), ("application/x-fictionbook+xml",), editable=True, text=True),

    Format("xlsx", "Excel workbook", _S, ("xlsx",), (_OOXML + "spreadsheetml.sheet",), editable=True),
    Format("xls", "Excel 97-2003 workbook", _S, ("xls",), ("application/vnd.ms-excel",), editable=True),
    Format("ods", "OpenDocument spreadsheet", _S, ("ods",), (_ODF + "spreadsheet",), editable=True),
    Format("csv", "Comma-separated values", _S, ("csv",), ("text/csv",), editable=True, text=True),
    Format("tsv", "Tab-separated values", _S, ("tsv", "tab"), ("text/tab-separated-values",), editable=True, text=True),

    Format("pptx", "PowerPoint presentation", _P, ("pptx",), (_OOXML + "presentationml.presentation",), editable=True),
    Format("ppt", "PowerPoint 97-2003 presentation", _P, ("ppt",), ("application/vnd.ms-powerpoint",), editable=True),
    Format("odp", "OpenDocument presentation", _P, ("odp",), (_ODF + "presentation",), editable=True),

    Format("json", "JSON", _T, ("json",), ("application/json",), editable=True, text=True),
    Format("ndjson", "Newline-delimited JSON", _T, ("ndjson", "jsonl"), ("application/x-ndjson", "application/jsonl"), editable=True, text=True),
    Format("parquet", "Apache Parquet", _T, ("parquet",), ("application/vnd.apache.parquet",), editable=True),

    Format("jpg", "JPEG", _I, ("jpg", "jpeg", "jpe", "jfif"), ("image/jpeg",)),
    Format("png", "PNG", _I, ("png",), ("image/png",)),
    Format("webp", "WebP", _I, ("webp",), ("image/webp",)),
    Format("gif", "GIF", _I, ("gif",), ("image/gif",)),
    Format("avif", "AVIF", _I, ("avif",), ("image/avif",)),
    Format("heic", "HEIC", _I, ("heic", "heif"), ("image/heic", "image/heif")),
    Format("jxl", "JPEG XL", _I, ("jxl",), ("image/jxl",)),
    Format("jp2", "JPEG 2000", _I, ("jp2", "j2k", "jpx"), ("image/jp2",)),
    Format("tiff", "TIFF", _I, ("tiff", "tif"), ("image/tiff",)),
    Format("bmp", "Windows bitmap", _I, ("bmp", "dib"), ("image/bmp",)),
    Format("ico", "Windows icon", _I, ("ico",), ("image/vnd.microsoft.icon", "image/x-icon")),
    Format("icns", "Apple icon", _I, ("icns",), ("image/icns",)),
    Format("tga", "Truevision TGA", _I, ("tga",), ("image/x-tga",)),
    Format("ppm", "Netpbm", _I, ("ppm", "pgm", "pbm", "pnm"), ("image/x-portable-pixmap",)),
    Format("pcx", "PCX", _I, ("pcx",), ("image/x-pcx",)),
    Format("qoi", "QOI", _I, ("qoi",), ("image/qoi",)),
    Format("dds", "DirectDraw surface", _I, ("dds",), ("image/vnd-ms.dds",)),
    Format("psd", "Photoshop document", _I, ("psd",), ("image/vnd.adobe.photoshop",)),
    Format("svg", "SVG", _V, ("svg",), ("image/svg+xml",), text=True),

    Format("mp4", "MP4 video", _M, ("mp4", "m4v"), ("video/mp4", "video/x-m4v")),
    Format("webm", "WebM", _M, ("webm",), ("video/webm",)),
    Format("mkv", "Matroska", _M, ("mkv",), ("video/matroska", "video/x-matroska")),
    Format("mov", "QuickTime", _M, ("mov", "qt"), ("video/quicktime",)),
    Format("avi", "AVI", _M, ("avi",), ("video/vnd.avi", "video/x-msvideo")),
    Format("mpg", "MPEG program stream", _M, ("mpg", "mpeg"), ("video/mpeg",)),
    Format("ts", "MPEG transport stream", _M, ("ts", "m2ts", "mts"), ("video/mp2t",)),
    Format("flv", "Flash video", _M, ("flv",), ("video/x-flv",)),
    Format("wmv", "Windows Media Video", _M, ("wmv", "asf"), ("video/x-ms-wmv",)),
    Format("3gp", "3GPP", _M, ("3gp",), ("video/3gpp",)),
    Format("ogv", "Ogg video", _M, ("ogv",), ("video/ogg",)),

    Format("mp3", "MP3", _A, ("mp3",), ("audio/mpeg",)),
    Format("wav", "WAV", _A, ("wav",), ("audio/vnd.wave", "audio/wav", "audio/x-wav")),
    Format("flac", "FLAC", _A, ("flac",), ("audio/flac",)),
    Format("ogg", "Ogg Vorbis", _A, ("ogg", "oga"), ("audio/ogg",)),
    Format("opus", "Opus", _A, ("opus",), ("audio/opus",)),
    Format("m4a", "MPEG-4 audio", _A, ("m4a",), ("audio/mp4", "audio/x-m4a")),
    Format("aac", "AAC", _A, ("aac",), ("audio/aac",)),
    Format("aiff", "AIFF", _A, ("aiff", "aif"), ("audio/aiff", "audio/x-aiff")),
    Format("wma", "Windows Media Audio", _A, ("wma",), ("audio/x-ms-wma",)),
    Format("ac3", "Dolby AC-3", _A, ("ac3",), ("audio/ac3",)),
    Format("amr", "AMR", _A, ("amr",), ("audio/amr",)),

    Format("zip", "ZIP archive", _Z, ("zip",), ("application/zip", "application/x-zip-compressed")),
    Format("tar", "Tar archive", _Z, ("tar",), ("application/x-tar",)),
    Format("tgz", "Tar archive, gzip", _Z, ("tgz", "tar.gz"), ("application/gzip", "application/x-gtar-compressed")),
    Format("tbz2", "Tar archive, bzip2", _Z, ("tbz2", "tar.bz2", "tbz"), ("application/x-bzip2",)),
    Format("txz", "Tar archive, xz", _Z, ("txz", "tar.xz"), ("application/x-xz",)),
    Format("tzst", "Tar archive, Zstandard", _Z, ("tzst", "tar.zst"), ("application/zstd",)),
    Format("7z", "7-Zip archive", _Z, ("7z",), ("application/x-7z-compressed",)),
)
# fmt: on

FORMATS: Mapping[str, Format] = {row.id: row for row in _ROWS}
"""Every format by its id."""

_NAMES: Mapping[str, Format] = {
    name: row
    for row in reversed(_ROWS)  # an earlier row wins a name that two claim
    for name in (*row.media_types, *row.extensions, row.id)
}


def find(name: str) -> Format | None:
    """The format with this id, extension (dot or not) or media type, in any case."""
    return _NAMES.get(name.strip().lower().removeprefix(".").partition(";")[0].strip())


def by_name(name: str) -> Format:
    """Like `find`. Raises `UnsupportedRoute` when there is none."""
    if (found := find(name)) is None:
        shown = name[:40]
        raise UnsupportedRoute(
            f"Unknown format {shown!r}.", hint="GET /v1/formats lists the formats."
        )
    return found
