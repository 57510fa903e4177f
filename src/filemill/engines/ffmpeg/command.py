"""How FFmpeg is called, and what it says: how far it is, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable

from filemill.engine import MB, Command, Exit, engine_failed
from filemill.errors import FileInvalid, FilemillError

INVALID = {
    "moov atom not found": "The file is cut off: its index is missing.",
    "Invalid data found": "The file is broken or not what it is said to be.",
    "End of file": "The file is cut off.",
    "does not contain any stream": "The file holds neither picture nor sound.",
    "matches no streams": "The file lacks the picture or sound that is needed.",
    "could not find codec parameters": "The file's codecs cannot be told.",
    "Decoder not found": "The file uses a codec that is unknown here.",
    "not in whitelist": "The file refers to other files, which is not allowed.",
    "EBML header parsing failed": "The file is broken or not what it is said to be.",
}


def command(argv: tuple[str, ...], total: float | None) -> Command:
    always = ("-nostdin", "-hide_banner", "-y", "-loglevel", "error", "-max_alloc", str(512 * MB))
    report = ("-nostats", "-progress", "pipe:1", "-stats_period", "0.2")
    return Command(("ffmpeg", *always, *report, *argv), progress=progress(total) if total else None)


def progress(total: float) -> Callable[[str], float | None]:
    """Reads FFmpeg's `-progress` lines; `total` is how long the result will be, seconds.

    The time goes back when a stream that was behind ends: what was reached stays."""
    reached = 0.0

    def read(line: str) -> float | None:
        nonlocal reached
        name, _, value = line.strip().partition("=")
        if name != "out_time_us" or not value.removeprefix("-").isdigit():
            return None
        reached = max(reached, min(int(value) / 1e6 / total, 1.0))
        return reached

    return read


def diagnose(engine: str, ended: Exit) -> FilemillError:
    for sign, message in INVALID.items():
        if sign.lower() in ended.stderr.lower():
            return FileInvalid(message, hint="Check that the file plays, then send it again.")
    return engine_failed(engine, ended)
