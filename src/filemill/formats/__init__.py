"""Formats: the table of them, and telling which one a file is."""

from filemill.formats.detect import HEAD_SIZE, detect, detect_file
from filemill.formats.table import FORMATS, by_name, find

__all__ = ["FORMATS", "HEAD_SIZE", "by_name", "detect", "detect_file", "find"]
