"""An engine without the sandbox: probe, build, call, probe, all in this process.

Quick, and an engine's errors come as they were raised."""

from __future__ import annotations

import importlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from filemill.engine import Call, Engine, Task
from filemill.formats import FORMATS, find
from filemill.model import Facts
from filemill.ports.sandbox import silent
from filemill.probes import Probes


def convert(
    engine: Engine, path: Path, source: str, target: str, room: Path, **options: Any
) -> Path:
    """`path` as `target`, made in a new folder below `room`; the probe has read it."""
    directory = room / f"{source}-{target}"
    directory.mkdir(exist_ok=True)
    name = f"in.{FORMATS[source].extension}"
    shutil.copyfile(path, directory / name)
    task = Task(
        source=source,
        target=target,
        input=name,
        output=f"out.{FORMATS[target].extension}",
        options=options,
        facts=facts(directory / name, source),
    )
    work = engine.build(task)
    for process in work.processes:
        assert isinstance(process, Call)
        call(process, directory)
    result = next(directory / name for name in work.outputs if (directory / name).is_file())
    facts(result)
    return result


def facts(path: Path, format: str | None = None) -> Facts:
    if format is None:
        found = find(path.suffix)
        assert found
        format = found.id
    return Facts.from_json(call(Probes()(format, path.name), path.parent))


def call(process: Call, directory: Path) -> Any:
    module, _, name = process.function.partition(":")
    arguments = json.loads(json.dumps(process.arguments))  # as it reaches a worker
    before = Path.cwd()
    os.chdir(directory)
    try:
        return getattr(importlib.import_module(module), name)(silent, **arguments)
    finally:
        os.chdir(before)
