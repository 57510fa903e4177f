"""Databases to test on: SQLite, and a PostgreSQL server of our own where there is one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg
import pytest

DEBIAN = "/usr/lib/postgresql/*/bin"
_numbers = count(1)


@dataclass(frozen=True)
class Postgres:
    folder: Path

    def new(self) -> str:
        """The URL of an empty database."""
        name = f"test_{next(_numbers)}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        return self._url(name)

    def _url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self.folder}"


def _program(name: str) -> Path | None:
    folders = sorted(Path("/").glob(f"{DEBIAN[1:]}/{name}"), reverse=True)
    found = folders[0] if folders else shutil.which(name)
    return Path(found) if found else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server that only this test run knows: a Unix socket in a folder of its own."""
    initdb, server = _program("initdb"), _program("postgres")
    if initdb is None or server is None:
        pytest.skip("PostgreSQL is not installed here: apt-get install postgresql")
    # It refuses to run as root; Debian's package makes a user for it.
    user = {"user": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="filemill-pg-"))
    try:
        if user:
            shutil.chown(folder, "postgres")
        data = folder / "data"
        made = subprocess.run(
            [initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
            cwd=folder,
            capture_output=True,
            text=True,
            **user,
        )
        assert made.returncode == 0, made.stderr
        arguments = ["-D", data, "-k", folder, "-c", "listen_addresses=", "-F"]
        with (folder.with_suffix(".log")).open("w") as log:
            process = subprocess.Popen(
                [server, *arguments, "-c", "max_connections=200"],
                cwd=folder,
                stdout=log,
                stderr=log,
                **user,
            )
        try:
            cluster = Postgres(folder)
            _wait(cluster, process)
            yield cluster
        finally:
            process.send_signal(signal.SIGQUIT)  # at once: nobody needs it again
            process.wait(60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_suffix(".log").unlink(missing_ok=True)


def _wait(cluster: Postgres, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert process.poll() is None, cluster.folder.with_suffix(".log").read_text()
        try:
            psycopg.connect(cluster._url("postgres")).close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("PostgreSQL did not start")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    return request.getfixturevalue("postgres").new()
