"""Doing one step of a plan in a private directory. Core; knows nothing of jobs or stores.

A step is: probe the input, let the engine build its work, run the work's processes
in the sandbox, probe the result, verify it. Every one of these processes is a
sandboxed one: probing reads hostile bytes too.
"""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from filemill.cores import Cores
from filemill.engine import Call, Engine, Exit, Limits, Part, Process, Split, Task, Work
from filemill.errors import (
    BY_CODE,
    Cancelled,
    EngineError,
    FileInvalid,
    FilemillError,
    LimitExceeded,
    Timeout,
    from_json,
)
from filemill.formats import FORMATS, find
from filemill.limits import USUAL, Ceilings, check
from filemill.model import Facts, Plan, Step
from filemill.ports.sandbox import Report, Sandbox, Session, Stopped, never, silent
from filemill.verify import Verdict, verify

PROBE_LIMITS = Limits(wall=300, cpu=300)
"""Beside a program: results count, too, and those of a long conversion take minutes to read."""
_SHORTER = "Try a shorter file, a smaller one or a quicker target format."


@dataclass(frozen=True, slots=True)
class Result:
    """A verified file, still in the private directory."""

    path: Path
    format: str
    """Not always the step's target: many pages make a zip of them."""
    facts: Facts
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Converter:
    """Runs steps. One for the whole process; safe to use from many threads."""

    engines: Mapping[str, Engine]
    sandbox: Sandbox
    probe: Callable[[str, str], Call]
    """(format id, file name) -> the call that reads its `Facts`."""
    ceilings: Ceilings = USUAL
    """What a file may ask for."""
    cores: Cores = field(default_factory=lambda: Cores(1))
    """What engines share."""
    wall: float | None = None
    """Cap on the wall clock of any one process, seconds."""

    def convert(
        self,
        plan: Plan,
        source: Path,
        directory: Path,
        *,
        report: Report = silent,
        stopped: Stopped = never,
    ) -> Result:
        """Run the whole plan on `source`, in and below `directory`. Raises what `step` raises."""
        done, total = 0.0, sum(step.cost for step in plan.steps)
        for number, step in enumerate(plan.steps):
            room = directory / str(number)
            room.mkdir(mode=0o700)
            shutil.copyfile(source, room / input_name(step))
            result = self.step(
                step,
                room,
                final=number + 1 == len(plan.steps),
                report=share(report, done, step.cost, total),
                stopped=stopped,
            )
            source, done = result.path, done + step.cost
        return result

    def step(
        self,
        step: Step,
        directory: Path,
        *,
        final: bool = True,
        facts: Facts | None = None,
        report: Report = silent,
        stopped: Stopped = never,
    ) -> Result:
        """Convert `directory/in.<extension>`. `final`: no other step takes the result.
        `facts` of the input, where they are known.

        Raises `FileInvalid`, `LimitExceeded`, `EngineError`, `Timeout` or `Cancelled`."""
        engine = self._engine(step)
        with self.sandbox.open(directory) as session:
            facts = facts or self._look(step, session, stopped)
            first = self._first(engine, step, facts)
            if first is not None:
                total = first.cost + step.cost
                made = self._done(
                    first,
                    facts,
                    directory,
                    session,
                    share(report, 0, first.cost, total),
                    stopped,
                    final=False,
                )
                session.release()
                _keep(made.path)
                report = share(report, first.cost, step.cost, total)
                step, facts = replace(step, source=first.target), made.facts
                made.path.replace(directory / input_name(step))
            result = self._done(step, facts, directory, session, report, stopped, final=final)
        _keep(result.path)
        if first is not None:
            checks = f"{first.engine} made {first.target} of it first", *result.verdict.checks
            result = replace(result, verdict=Verdict(checks))
        return result

    def _first(self, engine: Engine, step: Step, facts: Facts) -> Step | None:
        """What another engine is to do first, where this one wants so."""
        wanted = engine.detour(self._task(step, facts)) if engine.detour else None
        if wanted is None:
            return None
        for other in self.engines.values():
            for route in other.routes:
                if other is not engine and (route.source, route.target) == (step.source, wanted):
                    return Step(other.name, step.source, route.target, cost=route.cost)
        return None

    def _done(
        self,
        step: Step,
        facts: Facts,
        directory: Path,
        session: Session,
        report: Report,
        stopped: Stopped,
        *,
        final: bool,
    ) -> Result:
        engine = self._engine(step)
        work = engine.build(self._task(step, facts))
        with self.cores.taken():
            path = self._work(engine, work, directory, session, report, stopped)
        return self._verified(step, facts, path, session, stopped, final=final)

    def look(self, step: Step, directory: Path, *, stopped: Stopped = never) -> Facts:
        """What the step's input is. Raises what `step` raises."""
        with self.sandbox.open(directory) as session:
            return self._look(step, session, stopped)

    def _look(self, step: Step, session: Session, stopped: Stopped) -> Facts:
        facts = self._probe(step, step.source, input_name(step), session, stopped)
        check(facts, self.ceilings)
        return facts

    def splits(self, step: Step) -> bool:
        """Whether its engine can do such steps in parts."""
        return self._splitter(step) is not None

    def split(self, step: Step, facts: Facts, grain: float) -> Split | None:
        """How to do this step in parts of `grain` seconds; None: whole."""
        split = self._splitter(step)
        return split(self._task(step, facts), grain) if split else None

    def part(
        self,
        step: Step,
        part: Part,
        directory: Path,
        *,
        report: Report = silent,
        stopped: Stopped = never,
    ) -> tuple[Path, Facts]:
        """Do one part of a step, and look at its result. Raises what `step` raises."""
        engine = self._engine(step)
        with self.sandbox.open(directory) as session:
            with self.cores.taken():
                path = self._work(engine, part.work, directory, session, report, stopped)
            facts = self._probe(step, _format(path), path.name, session, stopped)
        _keep(path)
        return path, facts

    def join(
        self,
        step: Step,
        facts: Facts,
        split: Split,
        directory: Path,
        *,
        final: bool = True,
        report: Report = silent,
        stopped: Stopped = never,
    ) -> Result:
        """Make the step's result of those of its parts. Raises what `step` raises."""
        engine = self._engine(step)
        with self.sandbox.open(directory) as session:
            path = self._work(engine, split.join, directory, session, report, stopped)
            result = self._verified(step, facts, path, session, stopped, final=final)
        _keep(path)
        return result

    def _engine(self, step: Step) -> Engine:
        engine = self.engines.get(step.engine)
        if engine is None:
            raise EngineError(f"This host has no engine {step.engine!r}.", hint="Try again later.")
        return engine

    def _splitter(self, step: Step) -> Callable[[Task, float], Split | None] | None:
        """None, too, for an engine that only another host has."""
        engine = self.engines.get(step.engine)
        return engine.split if engine else None

    def _task(self, step: Step, facts: Facts) -> Task:
        return Task(
            source=step.source,
            target=step.target,
            input=input_name(step),
            output=f"out.{FORMATS[step.target].extension}",
            options=step.options,
            facts=facts,
            threads=self.cores.threads,
            ceilings=self.ceilings,
        )

    def _work(
        self,
        engine: Engine,
        work: Work,
        directory: Path,
        session: Session,
        report: Report,
        stopped: Stopped,
    ) -> Path:
        """Run the processes of an engine; gives the result."""
        processes = len(work.processes)
        for number, process in enumerate(work.processes):
            ended = self._run(
                process, session, engine.limits, share(report, number, 1, processes), stopped
            )
            if ended.code != 0 or ended.error:
                raise _failure(engine, ended)
        path = next((directory / name for name in work.outputs if _is_ours(directory / name)), None)
        if path is None:
            # LibreOffice ends so, with status 0, when it cannot read a file.
            raise _failure(engine, ended)
        return path

    def _verified(
        self,
        step: Step,
        source: Facts,
        path: Path,
        session: Session,
        stopped: Stopped,
        *,
        final: bool,
    ) -> Result:
        format = _format(path)
        try:
            facts = self._probe(step, format, path.name, session, stopped)
        except FileInvalid as error:
            raise EngineError(f"The result is broken: {error.message}") from error
        verdict = verify(step, source, facts)
        if verdict.problem:
            raise EngineError(f"The result was not right: {verdict.problem}")
        result = Result(path, format, facts, verdict)
        if not final:
            _single(step, result)
        return result

    def _probe(
        self, step: Step, format: str, name: str, session: Session, stopped: Stopped
    ) -> Facts:
        limits = _probing(self._engine(step))
        ended = self._run(self.probe(format, name), session, limits, silent, stopped)
        if ended.error:
            raise _from_worker(ended)
        if ended.code != 0 or not isinstance(ended.value, dict):
            raise FileInvalid(f"This {FORMATS[format].title} file cannot be read.")
        return Facts.from_json(ended.value)

    def _run(
        self,
        process: Process,
        session: Session,
        limits: Limits,
        report: Report,
        stopped: Stopped,
    ) -> Exit:
        limits = limits.within(wall=self.wall)
        ended = session.run(process, limits=limits, report=report, stopped=stopped)
        if ended.killed:
            raise _killed(ended, limits)
        return ended


def _single(step: Step, result: Result) -> None:
    """Raises `LimitExceeded` when a result that is to be converted further is many: a zip of
    pages, where the next step needs one."""
    if result.format != step.target:
        many = result.facts.entries or 0
        choose = "pages=1" if step.source == "pdf" else "its first page or sheet"
        raise LimitExceeded(
            f"The file has {many} pages, and the way to the wanted format takes one at a time.",
            hint=f"Choose one with {choose}, or convert to {step.target}, which gives all of them.",
            details={"limit": "pages", "value": many, "allowed": 1},
        )


def input_name(step: Step) -> str:
    """The fixed name of a step's input; the client's own never reaches a disk."""
    return f"in.{FORMATS[step.source].extension}"


def _format(path: Path) -> str:
    """What an engine made, by the name that it chose from ours: a probe may be lied to."""
    format = find(path.suffix)
    assert format is not None, path
    return format.id


def share(report: Report, before: float, part: float, total: float) -> Report:
    """A `Report` for a part of the work: its 0..1 becomes its share of the whole."""

    def shared(fraction: float) -> None:
        report((before + part * min(max(fraction, 0.0), 1.0)) / total)

    return shared


def _probing(engine: Engine) -> Limits:
    """The limits of a probe: those of an engine that is a library, so that one worker does both."""
    # The input of a program counts, too.
    return replace(PROBE_LIMITS, disk=engine.limits.disk) if engine.tools else engine.limits


def _keep(path: Path) -> None:
    """Look once more, now that nothing runs there that could have put something else there."""
    if not _is_ours(path):
        raise EngineError("The result is gone.")


def _is_ours(path: Path) -> bool:
    """Whether an engine's output is a plain file of its own. A hostile file may make the engine
    leave a link to a file that it cannot read itself but we can, or a pipe that never ends."""
    try:
        info = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(info.st_mode) and info.st_nlink == 1


def _killed(ended: Exit, limits: Limits) -> FilemillError:
    match ended.killed:
        case "cancelled":
            return Cancelled("The conversion was cancelled.")
        case "timeout":
            return Timeout(f"The conversion took longer than {limits.wall:g} s.", hint=_SHORTER)
        case "cpu":
            return Timeout(
                f"The conversion took more than {limits.cpu} s of processor time.", hint=_SHORTER
            )
        case "idle":
            return Timeout(
                f"The conversion did nothing for {limits.idle:g} s and was stopped.",
                hint="Something in the file makes the program hang: save it again in the program "
                "that made it, or convert to another format.",
            )
        case limit:
            return LimitExceeded(
                f"The conversion wrote too much ({limit}).",
                hint="The file unpacks to more than is allowed here.",
                details={"limit": limit, "allowed": getattr(limits, str(limit))},
            )


def _failure(engine: Engine, ended: Exit) -> FilemillError:
    return _from_worker(ended) if ended.error else engine.diagnose(engine.title, ended)


def _from_worker(ended: Exit) -> FilemillError:
    """An error that crossed from a worker process; a code we do not know is the engine's fault."""
    assert ended.error is not None
    if ended.error.get("code") in BY_CODE.keys() - {FilemillError.code}:
        return from_json(ended.error)
    return EngineError("The engine failed on this file.")
