"""The engines, in order of preference: between equals the first listed wins.

To add one: write its file here, and add it to `ENGINES`.
"""

from __future__ import annotations

from filemill.engine import Engine
from filemill.engines import (
    archives,
    drawings,
    ffmpeg,
    libreoffice,
    pandoc,
    pdfium,
    pillow,
    tables,
    vips,
)

ENGINES: tuple[Engine, ...] = (
    tables.ENGINE,
    libreoffice.ENGINE,
    pandoc.ENGINE,
    vips.ENGINE,
    ffmpeg.ENGINE,
    pillow.ENGINE,
    pdfium.ENGINE,
    archives.ENGINE,
    drawings.ENGINE,
)
