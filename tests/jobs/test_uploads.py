"""One contract for the uploads table, on SQLite and on PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from filemill.jobs.database import Database
from filemill.jobs.uploads import Uploads
from filemill.model import Blob, Incoming


@pytest.fixture
def uploads(database: Database) -> Uploads:
    return Uploads(database)


def an_upload(id: str = "upl_1", **values: Any) -> Incoming:
    defaults: dict[str, Any] = {
        "key_id": "key_1",
        "filename": "ü.wav",
        "metadata": "filename w7wud2F2",
        "size": 6 * 1024**3,
        "parts": (),
        "created_at": 1000.0,
        "expires_at": 2000.0,
    }
    return Incoming(id=id, **defaults | values)


def test_what_is_written_is_read(uploads: Uploads) -> None:
    parts = (Blob("uploads/upl_1/a/0", 3, "ab" * 32), Blob("uploads/upl_1/a/3", 4, "cd" * 32))
    upload = an_upload(parts=parts, format="wav", partial=True)
    uploads.insert(upload)
    assert uploads.get("upl_1") == upload
    assert upload.offset == 7
    assert uploads.get("upl_2") is None


def test_only_the_holder_of_the_lock_writes(uploads: Uploads) -> None:
    uploads.insert(an_upload())
    more = an_upload(parts=(Blob("a", 3, "ab"),), format="wav")
    assert not uploads.grow(more, "me")
    assert not uploads.lock("upl_none", "me", now=10, until=20)
    assert uploads.lock("upl_1", "me", now=10, until=20)
    assert uploads.lock("upl_1", "me", now=12, until=22), "renewed"
    assert not uploads.lock("upl_1", "you", now=21, until=30)
    assert uploads.locked("upl_1", now=21)
    assert not uploads.locked("upl_1", now=22)
    assert not uploads.grow(more, "you")
    assert uploads.grow(more, "me")
    assert uploads.get("upl_1") == more
    assert uploads.lock("upl_1", "you", now=22, until=30), "the lease was over"
    assert not uploads.grow(an_upload(), "me")
    uploads.unlock("upl_1", "me")
    assert uploads.locked("upl_1", now=23), "not who holds it"
    uploads.unlock("upl_1", "you")
    assert uploads.lock("upl_1", "me", now=23, until=30)
    uploads.unlock_all()
    assert not uploads.locked("upl_1", now=23)


def test_one_of_many_gets_the_lock(uploads: Uploads) -> None:
    uploads.insert(an_upload())
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda n: uploads.lock("upl_1", f"t{n}", now=10, until=20), range(16)))
    assert sum(got) == 1


def test_consumed_with_the_transaction(database: Database, uploads: Uploads) -> None:
    uploads.insert(an_upload())
    assert uploads.lock("upl_1", "me", now=10, until=20)
    with database.transaction() as transaction:
        assert not uploads.consume(transaction, "upl_1", "you")
    with suppress(ZeroDivisionError), database.transaction() as transaction:
        assert uploads.consume(transaction, "upl_1", "me")
        raise ZeroDivisionError
    assert uploads.get("upl_1") is not None
    with database.transaction() as transaction:
        assert uploads.consume(transaction, "upl_1", "me")
    assert uploads.get("upl_1") is None


def test_sets(uploads: Uploads) -> None:
    for n in range(3):
        uploads.insert(replace(an_upload(f"upl_{n}"), expires_at=1000.0 + n))
    uploads.insert(an_upload("upl_9", key_id="key_2"))
    assert uploads.open("key_1") == 3
    assert sorted(uploads.expired(now=1001)) == ["upl_0", "upl_1"]
    assert uploads.existing(["upl_0", "upl_9", "upl_x"]) == {"upl_0", "upl_9"}
    uploads.remove("upl_0")
    uploads.remove("upl_0")
    assert uploads.open("key_1") == 2
