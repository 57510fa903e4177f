"""A `Session`: processes one after another in one directory, consecutive `Call`s in one worker."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from filemill.engine import Call, Command, Exit, Limits, Process
from filemill.errors import ServiceUnavailable
from filemill.ports.sandbox import Report, Stopped, never, silent
from filemill.sandbox.follow import Follower
from filemill.sandbox.room import place, within

Start = Callable[[Process, Path, Limits, ExitStack], tuple[Follower, int]]
"""Starts a process in a directory, that ends with the stack: its follower and its user id."""

Waiting = Callable[[Command, Path, Limits, Stopped, Callable[[], None]], Exit | None]
"""Has a command done by a process that waits for one, where there is such a one. What lives in the
directory may be about to end; the last argument waits for that."""


class Session:
    """The `ports.sandbox.Session`. For one thread. The worker was forked for this directory, is
    confined to it, and is gone, with all it started, before anybody else may look there."""

    def __init__(
        self,
        directory: Path,
        start: Start,
        waiting: Waiting,
        restart: Callable[[], None],
        closing: Stopped,
    ) -> None:
        """`restart`: called when the fork server did not begin. `closing`: ends all processes."""
        self._directory = directory
        self._start, self._waiting = start, waiting
        self._restart, self._closing = restart, closing
        self._opened = ExitStack()
        self._follower: Follower | None = None
        self._limits: tuple[int, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def run(
        self,
        process: Process,
        *,
        limits: Limits,
        report: Report = silent,
        stopped: Stopped = never,
    ) -> Exit:
        def over() -> bool:
            return self._closing() or stopped()

        try:
            if isinstance(process, Command):
                ended = self._command(process, limits, report, over)
            else:
                ended = self._call(process, limits, report, over)
        except BaseException:  # the caller's own, in `report`
            self.release()
            raise
        ended = within(ended, self._directory, limits)
        if ended.code or ended.killed:
            self.release()
        return ended

    def release(self) -> None:
        """End the worker and make the directory ours again."""
        self._follower = None
        self._opened.close()

    def _command(self, command: Command, limits: Limits, report: Report, stopped: Stopped) -> Exit:
        if self._follower:
            self._follower.doom()
        ended = self._waiting(command, self._directory, limits, stopped, self.release)
        if ended is None:
            _, ended = self._begin(command, limits, report, stopped)
            self.release()
        return ended

    def _call(self, call: Call, limits: Limits, report: Report, stopped: Stopped) -> Exit:
        own = lasting(limits)
        if self._follower and self._limits == own and self._follower.ask(call):
            ended = self._follower.end(self._directory, limits, stopped, report=report)
            assert ended is not None
            return ended
        self._follower, ended = self._begin(call, limits, report, stopped)
        self._limits = own
        return ended

    def _begin(
        self, process: Process, limits: Limits, report: Report, stopped: Stopped
    ) -> tuple[Follower, Exit]:
        for _ in range(2):
            self.release()
            if isinstance(process, Command):
                place(process.files, self._directory)
            try:
                follower, _ = self._start(process, self._directory, limits, self._opened)
            except BrokenPipeError:
                self._restart()
                continue
            self._opened.callback(follower.kill)
            ended = follower.end(self._directory, limits, stopped, report=report)
            if ended is not None:
                return follower, ended
            self._restart()  # the fork server is gone: once more, with a new one
        raise ServiceUnavailable("Processes cannot be started on this host.")


def lasting(limits: Limits) -> tuple[int, ...]:
    """What a process is limited to for its life, all its calls together."""
    return (limits.memory, limits.cpu, limits.file_size, limits.open_files, limits.processes)
