"""How things look on a terminal: progress, tables, sizes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import gmtime, strftime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import filemill
from filemill import catalogue
from filemill.model import ApiKey, KeySecret
from filemill.planner import Graph
from filemill.ports.sandbox import Report

if TYPE_CHECKING:
    from filemill.doctor import Diagnosis


@contextmanager
def progress(title: str) -> Iterator[Report]:
    """A bar on standard error."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bars:
        bar = bars.add_task(escape(title), total=1.0)
        done = 0.0

        def report(fraction: float) -> None:
            nonlocal done
            done = max(done, min(fraction, 0.99))  # 100 is for a result that was verified
            bars.update(bar, completed=done)

        try:
            yield report
        except BaseException:
            bars.update(bar, visible=False)
            raise
        bars.update(bar, completed=1.0)


def console() -> Console:
    """Standard output; wide where it is no terminal, so that lines stay whole."""
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)


def show_formats(graph: Graph) -> None:
    for category, rows in catalogue.formats(graph)["categories"].items():
        table = Table("", "extensions", "becomes", box=None, title=category, title_justify="left")
        for row in rows:
            extensions = " ".join(row["extensions"])
            targets = " ".join(graph.targets(row["format"])) or "(only written)"
            table.add_row(row["format"], extensions, targets)
        console().print(table, "")


def show_targets(found: dict[str, Any]) -> None:
    table = Table(found["source"], "by way of", "engines", "not kept", "options", box=None)
    for row in found["targets"]:
        table.add_row(
            row["target"],
            " ".join(row["route"][1:-1]),
            " ".join(row["engines"]),
            ", ".join((*row["losses"], *row["notes"])),
            " ".join(row["options"]["properties"]),
        )
    console().print(table)


def show_keys(keys: Mapping[ApiKey, Sequence[KeySecret]]) -> None:
    table = Table("id", "name", "plan", "created", "revoked", "secrets", box=None)
    for key, secrets in keys.items():
        times = (moment(key.created_at), moment(key.revoked_at))
        begin = [
            f"{secret.prefix}..." + f" until {moment(secret.expires_at)}" * bool(secret.expires_at)
            for secret in secrets
        ]
        table.add_row(key.id, escape(key.name), key.plan, *times, ", ".join(begin))
    console().print(table)


def show_diagnosis(diagnosis: Diagnosis) -> None:
    out = console()
    mark = {True: "[green]ok[/]     ", False: "[red]missing[/]"}
    out.print(f"[bold]filemill {filemill.__version__}[/], Python {sys.version.split()[0]}\n")
    out.print("[bold]Engines[/]")
    missing = {lack.engine.name: lack for lack in diagnosis.missing}
    for engine in diagnosis.engines:
        lack = missing.get(engine.name)
        out.print(mark[lack is None], f"{engine.name}: {engine.title}, {len(engine.routes)} routes")
        if lack:
            out.print(f"          not found: {', '.join(lack.what)}")
            for hint in lack.hints:
                out.print(f"          to get it: {escape(hint)}")
            for source, targets in lack.lost.items():
                out.print(f"          lost: {source} to {' '.join(targets)}")
    out.print("\n[bold]Tools[/]")
    for tool in diagnosis.tools:
        out.print(f"{tool.name}: {escape(tool.version or 'does not start')} ({tool.path})")
    out.print("\n[bold]Sandbox[/], attacked")
    for proof in diagnosis.proofs:
        verdict = "[green]holds[/]" if proof.holds else "[red]BROKEN[/]"
        out.print(verdict, f"{escape(proof.name)}: {escape(proof.detail)}")
    out.print(f"\nusable: {'yes' if diagnosis.usable else 'no'}")


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def tell(line: str) -> None:
    sys.stderr.write(line + "\n")


def size(count: int) -> str:
    amount, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"


def moment(seconds: float | None) -> str:
    return "" if seconds is None else strftime("%Y-%m-%d %H:%M", gmtime(seconds))
