"""Mixed conversions through a real server, a tenth of them hostile, and what is left of them."""

from __future__ import annotations

import itertools
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hostile.attacks import ATTACKS
from hostile.traps import Traps
from samples import documents, images, media, pdfs
from sandbox.processes import below
from server.running import Server

INNOCENT = (
    ("png", "jpg"), ("md", "html"), ("csv", "parquet"), ("jpg", "webp"), ("pdf", "png"),
    ("docx", "md"), ("wav", "mp3"), ("png", "webp"), ("docx", "pdf"), ("csv", "xlsx"),
    ("html", "docx"), ("pdf", "txt"), ("gif", "webp"), ("xlsx", "csv"), ("mp4", "mp3"),
)  # fmt: skip
SLOW = frozenset({"html-deep", "html-deep-quotes", "docbook-deep", "md-brackets", "md-quotes"})
"""Attacks that only time out: 50 of them would be the whole soak."""
JOB_TIMEOUT = 8.0
CALM = 4
"""Looks in a row, a second apart, that must find as many processes: those that stand by take
seconds to start."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a server holds at one moment; sizes in MB."""

    rss: int
    forks_rss: int
    """Of all processes below it."""
    processes: int
    descriptors: int
    threads: int
    rooms: int
    """Private directories of jobs."""

    @classmethod
    def of(cls, server: Server) -> Footprint:
        assert server.process
        pid = server.process.pid
        children = below(pid)
        return cls(
            rss=_rss(pid),
            forks_rss=sum(map(_rss, children)),
            processes=len(children),
            descriptors=len(os.listdir(f"/proc/{pid}/fd")),
            threads=len(os.listdir(f"/proc/{pid}/task")),
            rooms=sum(1 for _ in (server.data / "scratch").glob("job_*")),
        )


@dataclass(frozen=True, slots=True)
class Soaked:
    before: Footprint
    after: Footprint
    came: Counter[str]
    """`innocent ok`, `hostile file_invalid` ...: how often."""
    seconds: float
    leaked: tuple[str, ...]
    """Attacks whose result held the secret."""
    hits: int


def soak(count: int, traps: Traps, folder: Path, *, clients: int = 4, warm_up: int = 60) -> Soaked:
    """`count` conversions by `clients` at once, after `warm_up` more that do not count."""
    harmless = {pair: _sample(pair[0], folder) for pair in INNOCENT}
    attacks = []
    for attack in ATTACKS:
        if attack.name not in SLOW and not attack.options:
            path = folder / f"attack-{attack.name}"
            attack.make(path, traps)
            if path.stat().st_size < 8 * 1024 * 1024:
                attacks += [(attack, path, target) for target in attack.targets[:1]]
    random.Random(11).shuffle(attacks)
    came: Counter[str] = Counter()
    leaked: list[str] = []
    safe, evil = itertools.cycle(harmless.items()), itertools.cycle(attacks)
    settings = {
        "job_timeout": str(JOB_TIMEOUT),
        "secret_in_the_environment": traps.secret,
        "warm_office": "2",
    }
    with Server(folder / "data", **settings) as server:

        def convert(number: int, path: Path, source: str, target: str) -> tuple[str, bytes]:
            with path.open("rb") as body, server.client(timeout=120) as client:
                reply = client.post(
                    "/v1/convert",
                    content=body,
                    params={"target": target, "source": source, "filename": f"{number}.{source}"},
                )
            code = "ok" if reply.is_success else reply.json()["error"]["code"]
            assert reply.status_code != 500, reply.text
            return code, reply.content

        def one(number: int) -> None:
            if number % 10 == 9:
                attack, path, target = next(evil)
                code, content = convert(number, path, attack.source, target)
                came[f"hostile {code}"] += 1
                result = folder / f"result-{number}"
                result.write_bytes(content)
                if traps.leaked(result):
                    leaked.append(attack.name)
                result.unlink()
            else:
                (source, target), path = next(safe)
                code, _ = convert(number, path, source, target)
                came[f"innocent {code}"] += 1

        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(one, range(warm_up)))
        came.clear()
        before = settled(server)
        start = time.monotonic()
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(one, range(count)))
        seconds = time.monotonic() - start
        return Soaked(
            before, settled(server), came, seconds, tuple(sorted(set(leaked))), len(traps.hits)
        )


def settled(server: Server) -> Footprint:
    """The footprint once nothing runs: processes that stand by are replaced meanwhile."""
    last, calm = Footprint.of(server), 0
    for _ in range(60):
        time.sleep(1)
        now = Footprint.of(server)
        calm = calm + 1 if not now.rooms and now.processes == last.processes else 0
        if calm == CALM:
            return now
        last = now
    return last


def table(done: Soaked) -> str:
    """Before and after as Markdown."""
    rows = ["| | before | after |", "|---|---|---|"]
    titles = {
        "rss": "memory of the server, MB",
        "forks_rss": "memory of the processes below it, MB",
        "processes": "processes below it",
        "descriptors": "open descriptors",
        "threads": "threads",
        "rooms": "private directories",
    }
    for name, title in titles.items():
        rows.append(f"| {title} | {getattr(done.before, name)} | {getattr(done.after, name)} |")
    return "\n".join(rows)


def _rss(pid: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 // 2**20
    return 0


_MAKERS = {"png": images, "jpg": images, "gif": images, "wav": media, "mp4": media}


def _sample(source: str, folder: Path) -> Path:
    path = folder / f"sample.{source}"
    if source == "pdf":
        pdfs.make(path, 2)
    else:
        _MAKERS.get(source, documents).make(source, path)  # type: ignore[attr-defined]
    return path


def lines(done: Soaked) -> Iterator[str]:
    total = sum(done.came.values())
    yield f"{total} conversions in {done.seconds:.0f} s: " + ", ".join(
        f"{count} {what}" for what, count in sorted(done.came.items())
    )
    yield f"leaks: {', '.join(done.leaked) or 'none'}; canary hits: {done.hits}"
    yield ""
    yield table(done)
