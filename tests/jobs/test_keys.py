"""One contract for API keys and signing secrets, on SQLite and on PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from filemill.errors import BadRequest, InvalidApiKey, NotFound
from filemill.jobs.database import Database
from filemill.jobs.keys import Keys
from filemill.jobs.secrets import Secrets
from filemill.jobs.tables import METADATA, SECRETS
from filemill.model import KeySecret


@pytest.fixture
def keys(database: Database) -> Keys:
    return Keys(database)


def test_create_and_check(keys: Keys) -> None:
    secret = keys.create("worker ü", plan="pro")
    key = keys.check(secret)
    assert (key.name, key.plan, key.revoked_at) == ("worker ü", "pro", None)
    assert keys.list() == {key: [KeySecret(secret[:13], None)]}


@pytest.mark.parametrize("wrong", [None, "", "ctf_sk_", "ctf_sk_x", "\x00", "ü", "' OR 1=1 --"])
def test_wrong_secret(keys: Keys, wrong: str | None) -> None:
    secret = keys.create("a")
    with pytest.raises(InvalidApiKey):
        keys.check(wrong)
    for near in (secret[:-1], secret + "x", secret.swapcase(), " " + secret):
        with pytest.raises(InvalidApiKey):
            keys.check(near)


def test_secret_is_kept_nowhere(keys: Keys, database: Database) -> None:
    secret = keys.create("a")
    with database.engine.connect() as connection:
        rows = [
            str(row)
            for table in METADATA.sorted_tables
            for row in connection.execute(table.select())
        ]
    assert rows
    assert not [row for row in rows if secret in row]


def test_revoke_by_name_and_by_id(keys: Keys) -> None:
    secrets = [keys.create("a"), keys.create("b")]
    keys.revoke("a")
    keys.revoke(keys.check(secrets[1]).id)
    for secret in secrets:
        with pytest.raises(InvalidApiKey, match="revoked"):
            keys.check(secret)
    for name in ("a", "b", "none"):
        with pytest.raises(NotFound):
            keys.revoke(name)
        with pytest.raises(NotFound):
            keys.rotate(name)
    assert all(key.revoked_at and not known for key, known in keys.list().items())


def test_name_is_taken_until_revoked(keys: Keys) -> None:
    first = keys.create("a")
    with pytest.raises(BadRequest, match="'a'"):
        keys.create("a")
    assert len(keys.list()) == 1
    keys.revoke("a")
    second = keys.create("a")
    assert keys.check(second).revoked_at is None
    with pytest.raises(InvalidApiKey):
        keys.check(first)


def test_rotation_overlaps(keys: Keys) -> None:
    first = keys.create("a")
    second = keys.rotate("a", overlap=3600)
    key = keys.check(first)
    assert key == keys.check(second)
    newest, old = keys.list()[key]
    assert (newest.prefix, newest.expires_at) == (second[:13], None)
    assert (old.prefix, old.expires_at) == (first[:13], pytest.approx(time.time() + 3600, abs=60))
    third = keys.rotate("a", overlap=0)
    assert [known.prefix for known in keys.list()[key]] == [third[:13]]
    for old in (first, second):
        with pytest.raises(InvalidApiKey):
            keys.check(old)
    assert keys.check(third).name == "a"


def test_rotation_never_lengthens_an_old_secrets_life(keys: Keys, database: Database) -> None:
    first = keys.create("a")
    keys.rotate("a", overlap=0)
    keys.rotate("a", overlap=3600)
    with pytest.raises(InvalidApiKey):
        keys.check(first)


def test_of_many_with_one_name_one_is_made(keys: Keys) -> None:
    start = Barrier(16)

    def create(_: int) -> str | None:
        start.wait()
        try:
            return keys.create("same")
        except BadRequest:
            return None

    with ThreadPoolExecutor(16) as threads:
        made = [secret for secret in threads.map(create, range(16)) if secret]
    assert len(made) == 1
    assert [key.name for key in keys.list()] == ["same"]
    assert keys.check(made[0]).name == "same"


def test_secrets_are_made_once(database: Database) -> None:
    start = Barrier(16)

    def ask(_: int) -> tuple[bytes, ...]:
        start.wait()
        return tuple(Secrets(database).all("links"))

    with ThreadPoolExecutor(16) as threads:
        found = set(threads.map(ask, range(16)))
    assert len(found) == 1
    (secrets,) = found
    assert len(secrets) == 1
    assert len(secrets[0]) == 64
    assert Secrets(database).all("webhooks") != list(secrets)


ASK = """
import sys
import time
from filemill.jobs.database import Database
from filemill.jobs.secrets import Secrets
print("ready", flush=True)
sys.stdin.readline()
print(Secrets(Database(sys.argv[1])).all("links")[0].decode())
"""


def test_processes_that_start_at_once_agree(database_url: str) -> None:
    """On a database without any table yet: they make those and the secret, all of them."""
    hosts = [
        subprocess.Popen(
            [sys.executable, "-c", ASK, database_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for host in hosts:
        assert host.stdout
        assert host.stdout.readline() == "ready\n", host.communicate()
    for host in hosts:
        assert host.stdin
        host.stdin.write("\n")
        host.stdin.flush()
    ends = [host.communicate(timeout=60) for host in hosts]
    assert not [stderr for _, stderr in ends if stderr]
    assert len({stdout for stdout, _ in ends}) == 1


def test_newest_secret_signs_and_old_ones_stay(database: Database) -> None:
    [first] = Secrets(database).all("links")
    row = {"purpose": "links", "created_at": 1, "value": "newer"}
    with database.transaction() as transaction:
        transaction.execute(SECRETS.insert().values(**row))
    assert Secrets(database).all("links") == [b"newer", first]
