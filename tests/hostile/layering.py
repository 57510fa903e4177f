"""Attacks by the layers that each alone stop them: what has to be off for one to succeed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from filemill.conversion import Converter
from filemill.engine import MB, Command, Engine, Process, Task, Work
from filemill.engines import ENGINES
from filemill.engines.pandoc import HEAP_MB
from filemill.errors import FilemillError
from filemill.planner import Graph
from filemill.probes import Probes
from filemill.sandbox import Box, landlock
from filemill.sandbox.confine import LAYERS
from filemill.workshop import Workshop
from hostile import unguarded
from hostile.attack import Attack
from hostile.attacks import documents, links
from hostile.traps import Traps, planted
from hostile.watched import Watched
from samples import macros

FLAGS = "flags"
"""Of the engines: pandoc's `--sandbox`, LibreOffice's settings and its `--convert-to`, FFmpeg's
whitelists."""
CALLS_OUT = frozenset({"landlock", "seccomp", FLAGS})

STOPPED_BY: Mapping[str, frozenset[str]] = {
    "rtf-includepicture": frozenset({"landlock"}),
    "docx-picture-file": frozenset({"landlock", FLAGS}),
    "odt-picture-file": frozenset({"landlock", FLAGS}),
    "html-img-file": frozenset({"landlock", FLAGS}),
    "rst-include": frozenset({"landlock", FLAGS}),
    "org-include": frozenset({"landlock", FLAGS}),
    **{f"{kind}-macro-file": frozenset({"landlock", FLAGS}) for kind in macros.ACTING},
    "docx-picture-http": CALLS_OUT,
    "odt-picture-http": CALLS_OUT,
    "html-img-http": CALLS_OUT,
    "md-everything-http": CALLS_OUT,
    "odt-macro-http": CALLS_OUT,
    "ods-macro-http": CALLS_OUT,
}

LEAKING = frozenset({
    "odp-picture-file",
    "ods-dde",
    "ods-dde-links",
    "ods-formulas",
    "ods-object",
    "ods-range-http",
    "ods-table-file",
    "ods-table-http",
    "odt-fills",
    "odt-fills-http",
    "odt-picture-relative",
    "odt-plugins",
    "odt-section-file",
    "odt-section-http",
    "pptx-object",
    "pptx-object-http",
    "pptx-picture-file",
    "pptx-picture-http",
    "xlsx-book-http",
    "xlsx-webservice",
})  # fmt: skip
"""Further attacks of LibreOffice that reach their file or the server when every layer is off and
it updates what it can. The others it does not follow, but for `odt-section-ftp`, which takes its
time: `python -m hostile.layering` in `tests` tries them all."""
OFFICE = (*documents.ATTACKS, *links.ATTACKS)
EVERYTHING = frozenset({*LAYERS, FLAGS})


def here(layers: frozenset[str]) -> frozenset[str]:
    """Those of `layers` that do this on this kernel: Landlock knows TCP since its version 4."""
    return layers - {"landlock"} if layers == CALLS_OUT and landlock.abi() < 4 else layers


@contextmanager
def without(off: frozenset[str]) -> Iterator[Converter]:
    """A converter with these layers switched off."""
    workshop = Workshop.here()
    engines = workshop.graph.engines
    if FLAGS in off:
        engines = {name: _unflagged(engine) for name, engine in engines.items()}
    with Box.start(
        workshop.inventory.tools, reads=workshop.inventory.reads, layers=LAYERS - off
    ) as box:
        yield Converter(engines=engines, sandbox=Watched(box), probe=Probes())


def _unflagged(engine: Engine) -> Engine:
    def build(task: Task) -> Work:
        work = engine.build(task)
        if engine.name == "libreoffice":
            return unguarded.command(task, unguarded.settings(work))
        return replace(work, processes=tuple(map(_open, work.processes)))

    return replace(engine, build=build)


def _open(process: Process) -> Process:
    if not isinstance(process, Command):
        return process
    argv = [word for word in process.argv if word != "--sandbox"]
    for flag in ("-protocol_whitelist", "-format_whitelist"):
        while flag in argv:
            at = argv.index(flag)
            del argv[at : at + 2]
    return replace(process, argv=tuple(argv))


def reaches(attack: Attack, target: str, converter: Converter, traps: Traps, folder: Path) -> bool:
    """Whether it gets at its file or at the server; `folder`: for what is made meanwhile."""
    hits = len(traps.hits)
    file, room = folder / attack.name, folder / f"room-{attack.name}"
    attack.make(file, traps)
    room.mkdir()
    plan = Graph(converter.engines.values()).plan(attack.source, target)
    try:
        read = traps.leaked(converter.convert(plan, file, room).path)
    except FilemillError:
        read = False
    return read or len(traps.hits) > hits


def limits() -> str:
    """What the engines' processes may use, as Markdown, for docs/security.md."""
    rows = ["| engine | minutes of CPU | minutes in all | MB of memory |", "|---|---|---|---|"]
    for engine in ENGINES:
        most = engine.limits
        memory = f"{most.memory // MB}" if most.memory else f"{HEAP_MB} of heap"
        rows.append(f"| {engine.title} | {most.cpu / 60:g} | {most.wall / 60:g} | {memory} |")
    return "\n".join(rows)


def table() -> str:
    """As Markdown, for docs/security.md."""
    columns = (FLAGS, "landlock", "seccomp")
    rows = [f"| attack | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for name, layers in STOPPED_BY.items():
        marks = ("stops it" if column in layers else "" for column in columns)
        rows.append(f"| `{name}` | {' | '.join(marks)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    with without(EVERYTHING) as unlayered, planted() as trapped, TemporaryDirectory() as made:
        for tried in OFFICE:
            leaks = reaches(tried, "pdf", unlayered, trapped, Path(made))
            print(f"{tried.name:28} {'leaks' if leaks else ''}")  # noqa: T201
