"""What an engine declares. Floor 1: values only, no engine and no process here.

An engine is one file in `engines/` that ends in a value `ENGINE = Engine(...)`:
what it reads and writes (routes), which options it takes, which tools it needs,
and one pure function `build(task) -> Work`. It never starts a process, touches
a disk, reads the environment or knows of jobs: the runner places the files, and
the sandbox runs `Work`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from filemill.errors import EngineError, FilemillError
from filemill.limits import MB as MB
from filemill.limits import USUAL, Ceilings
from filemill.model import Facts


class Loss:
    """How much of a file a route loses. The planner adds these up along a path."""

    NONE = 0.0
    """Every value survives (png -> tiff, csv -> parquet)."""
    RECOMPRESSED = 1.0
    """Lossy coding once more; people rarely see it (png -> jpg, wav -> mp3)."""
    LAYOUT = 3.0
    """Content survives, its looks or structure partly (docx -> odt, md -> docx)."""
    FLATTENED = 5.0
    """Looks survive, structure does not (docx -> pdf, xlsx -> pdf, gif -> jpg)."""
    CONTENT = 20.0
    """Parts are gone (pdf -> txt, xlsx -> csv, mp4 -> mp3)."""


@dataclass(frozen=True, slots=True)
class Route:
    """One edge of the graph: an engine turns `source` into `target`."""

    source: str
    target: str
    loss: float = Loss.NONE
    cost: float = 1.0
    """Relative time of a typical file: 1 an image, 10 a document, 100 a video."""
    losses: tuple[str, ...] = ()
    """The same loss in words for people, e.g. "animation"."""
    needs_landlock: bool = False
    """Whether nothing but Landlock keeps a hostile source from reading other files."""


def routes(
    reads: Iterable[str],
    writes: Iterable[str],
    *,
    loss: float = Loss.NONE,
    cost: float = 1.0,
    losses: tuple[str, ...] = (),
    same: bool = False,
) -> tuple[Route, ...]:
    """Every pair of `reads` x `writes`; pairs of a format with itself only if `same`
    (re-encoding, resizing, trimming)."""
    writes = tuple(writes)
    return tuple(
        Route(source, target, loss, cost, losses)
        for source in reads
        for target in writes
        if same or source != target
    )


@dataclass(frozen=True, slots=True)
class Option:
    """A setting a client may give. `schema` is JSON Schema (2020-12) of its value."""

    name: str
    schema: Mapping[str, Any]
    description: str
    targets: frozenset[str] | None = None
    """Target formats it works for; None: all of the engine's."""
    sources: frozenset[str] | None = None
    of_upload: bool = False
    """Whether it tells of the uploaded file: no step but the first takes it."""

    def applies(self, source: str, target: str) -> bool:
        return (self.targets is None or target in self.targets) and (
            self.sources is None or source in self.sources
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """What the sandbox lets one process have."""

    memory: int = 2048 * MB
    """Address space, bytes (RLIMIT_AS); a `Call` has it besides what the fork server has loaded.
    0: no limit, for programs that reserve far more than they use (pandoc: 1 TB)."""
    cpu: int = 3600
    """CPU time, seconds (RLIMIT_CPU)."""
    file_size: int = 4096 * MB
    """One file it writes, bytes (RLIMIT_FSIZE)."""
    open_files: int = 256
    processes: int = 64
    wall: float = 3600.0
    """Seconds until it is killed."""
    disk: int = 8192 * MB
    """All files of its directory together, bytes."""
    files: int = 20_000
    """How many files its directory may hold."""
    idle: float = 300.0
    """Seconds with less than 1% of a core used, after which it is killed: it hangs."""

    def within(self, *, wall: float | None = None) -> Limits:
        """The same limits with the wall clock shortened to `wall`."""
        return self if wall is None else replace(self, wall=min(self.wall, wall))

    def writing(self, most: int) -> Limits:
        """The same limits, but for files of `most` bytes."""
        return replace(self, file_size=most, disk=2 * most)


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run in the private directory. `argv[0]` names a `Tool`."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    progress: Callable[[str], float | None] | None = None
    """Turns a line of its standard output into a fraction 0..1, or None."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Placed in the directory first, by name; a process that waits has its own already."""
    standby: bool = False
    """Whether a process that was started ahead (`Standby`) may do this."""


@dataclass(frozen=True, slots=True)
class Call:
    """A Python function to run in a worker process inside the private directory.

    `function` is `"module:name"`; it is called as `name(report, **arguments)`, where
    `report(fraction)` tells progress; arguments and the returned value are JSON.
    Heavy libraries are imported inside it. It may raise `FilemillError`s."""

    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


Process = Command | Call


@dataclass(frozen=True, slots=True)
class Standby:
    """How a program is started before there is a task for it: it listens on a UNIX socket,
    takes the arguments of one `Command` from there, does that and is killed."""

    command: Command
    """Its tool is that of the commands it does."""
    lasting: Command
    """The same, of a process that outlives a task: it can rehearse, and do several."""
    rehearsal: Work
    """Commands for such a process to do ahead of its task, so that it has loaded what it needs."""
    sockets: Callable[[Path, int], tuple[str, ...]]
    """(its private directory, its user id) -> the paths where its socket may be."""
    ready: bytes
    """What it says to who connects, once it can take a task."""
    request: Callable[[tuple[str, ...]], bytes]
    """A command's argv -> what to send."""
    done: bytes
    """What it says when the task is done."""


@dataclass(frozen=True, slots=True)
class Work:
    """What `build` returns: processes to run one after the other in the private directory."""

    processes: tuple[Process, ...]
    outputs: tuple[str, ...]
    """File names, the first that exists afterwards is the result (`out.png`, else `out.zip`)."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a step that can be done for itself, on any host, from the step's whole input."""

    name: str
    """Of its result, here and in the directory of the join: `part-0003.mp4`."""
    work: Work
    weight: float
    """Its share of the step, compared with the other parts."""
    expects: Mapping[str, Any] = field(default_factory=dict)
    """Facts that its result must have. Another: the input is not what it seemed, and the step is
    done whole."""


@dataclass(frozen=True, slots=True)
class Split:
    """How a long step is done in parts. The same for the same task, on every host."""

    parts: tuple[Part, ...]
    join: Work
    """Runs in a directory with the parts' results."""
    adds: str = ""
    """The fact (`frames`, `entries`) of the whole that is the sum of those of the parts."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended."""

    code: int
    """Exit status; negative: the signal that ended it."""
    killed: str | None = None
    """Why the sandbox ended it: "timeout", "cpu", "idle", "cancelled", "disk", "file_size",
    "files"; None: it did so itself."""
    stderr: str = ""
    """The last few kB."""
    value: Any = None
    """What a `Call` returned."""
    error: Mapping[str, Any] | None = None
    """The `FilemillError.to_json()` that a `Call` raised."""
    wall: float = 0.0
    max_rss: int = 0
    """Bytes; 0 where unknown."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that an engine starts."""

    name: str
    find: Callable[[], Path | None]
    """Where it is on this host. Looks at wheels and the usual folders, never at the environment
    but PATH."""
    hint: str
    """How to get it, when it is missing."""
    reads: tuple[str, ...] = ()
    """Folders beside the system's own that it must be able to read."""


@dataclass(frozen=True, slots=True)
class Task:
    """One step as its engine sees it: fixed names in a private directory."""

    source: str
    target: str
    input: str
    """`in.<extension>`"""
    output: str
    """`out.<extension>`"""
    options: Mapping[str, Any]
    """Checked against the schemas; holds only what this engine declared."""
    facts: Facts
    """Of the input file."""
    threads: int = 1
    ceilings: Ceilings = USUAL
    """For what the options ask for; what the file holds was checked before."""


def engine_failed(engine: str, ended: Exit) -> FilemillError:
    """The usual reading of a process that failed: the engine's own fault."""
    how = f"exit status {ended.code}" if ended.code >= 0 else f"signal {-ended.code}"
    how = how if ended.code else "it wrote no result"
    return EngineError(
        f"{engine} could not convert this file ({how}).",
        hint="Try again; if it fails again, the file probably uses something the engine lacks.",
    )


@dataclass(frozen=True, slots=True)
class Engine:
    """One converter."""

    name: str
    title: str
    routes: tuple[Route, ...]
    build: Callable[[Task], Work]
    """Pure: no files, no processes, no clock."""
    split: Callable[[Task, float], Split | None] | None = None
    """(task, seconds of one core that a part should take) -> how to do it in parts; None: whole.
    Pure, like `build`, which is what is asked when it says None."""
    detour: Callable[[Task], str | None] | None = None
    """The format that another engine is to make of this task's file first, for what its facts tell;
    None: it is taken as it is. Pure."""
    options: tuple[Option, ...] = ()
    tools: tuple[Tool, ...] = ()
    modules: tuple[str, ...] = ()
    """Python modules its `Call`s import: must be installed; loaded ahead in the fork server."""
    limits: Limits = Limits()
    standby: Callable[[], Standby] | None = None
    """For programs that start slowly."""
    diagnose: Callable[[str, Exit], FilemillError] = engine_failed
    """(engine's title, exit) -> the error a client gets when a process failed, or the last one
    ended with status 0 but without a result."""

    def options_for(self, source: str, target: str) -> tuple[Option, ...]:
        return tuple(option for option in self.options if option.applies(source, target))
