"""Databases to test on: SQLite, and a PostgreSQL server of our own where there is one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest

DEBIAN = "/usr/lib/postgresql/*/bin"
_numbers = count(1)


class Postgres:
    """A server that only this test run knows: a Unix socket in a folder of its own."""

    def __init__(self, folder: Path, initdb: Path, program: Path) -> None:
        self.folder = folder
        self._program = program
        # It refuses to run as root; Debian's package makes a user for it.
        self._user = {"user": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        if self._user:
            shutil.chown(folder, "postgres")
        made = subprocess.run(
            [
                *(initdb, "-D", folder / "data", "--no-sync"),
                *("-U", "postgres", "-A", "trust", "-E", "UTF8"),
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            **self._user,
        )
        assert made.returncode == 0, made.stderr
        self.start()

    def start(self) -> None:
        arguments = ["-D", self.folder / "data", "-k", self.folder, "-c", "listen_addresses=", "-F"]
        # No processes that come and go: some tests count those below ours.
        arguments += ["-c", "autovacuum=off"]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [self._program, *arguments, "-c", "max_connections=200"],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                **self._user,
            )
        for _ in range(300):
            assert self._process.poll() is None, self._log.read_text()
            try:
                psycopg.connect(self._url("postgres")).close()
            except psycopg.OperationalError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError("PostgreSQL did not start")

    def stop(self) -> None:
        """At once, whoever is connected."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(60)

    def new(self) -> str:
        """The URL of an empty database."""
        name = f"test_{next(_numbers)}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        return self._url(name)

    @property
    def _log(self) -> Path:
        return self.folder.with_suffix(".log")

    def _url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self.folder}"

    def close(self) -> None:
        self.stop()
        self._log.unlink(missing_ok=True)


def _program(name: str) -> Path | None:
    folders = sorted(Path("/").glob(f"{DEBIAN[1:]}/{name}"), reverse=True)
    found = folders[0] if folders else shutil.which(name)
    return Path(found) if found else None


def _launch() -> Iterator[Postgres]:
    initdb, program = _program("initdb"), _program("postgres")
    if initdb is None or program is None:
        pytest.skip("PostgreSQL is not installed here: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="filemill-pg-"))
    try:
        cluster = Postgres(folder, initdb, program)
        yield cluster
        cluster.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    yield from _launch()


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """One that may be stopped."""
    yield from _launch()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    return request.getfixturevalue("postgres").new()
