"""API keys. The secret is shown once; what is kept is its hash."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from filemill.errors import BadRequest, Conflict, InvalidApiKey, NotFound
from filemill.jobs.database import Database, Transaction
from filemill.jobs.tables import KEY_SECRETS, KEYS
from filemill.model import ApiKey, KeySecret
from filemill.plans import PLANS

PREFIX = "ctf_sk_"
_C, _S = KEYS.c, KEY_SECRETS.c
OVERLAP = 24 * 3600.0
"""Seconds that an old secret works on after a rotation."""
_MISSING = "Send it as `Authorization: Bearer ctf_sk_...`; `filemill keys create NAME` makes one."


class Keys:
    def __init__(self, database: Database, plans: Collection[str] = PLANS) -> None:
        self._database = database
        self._plans = plans

    def create(self, name: str, plan: str = "unlimited") -> str:
        """Make a key and give its secret. Raises `BadRequest` when the name is taken or there
        is no such plan."""
        if plan not in self._plans:
            known = ", ".join(self._plans)
            raise BadRequest(f"There is no plan {plan!r}.", hint=f"There are: {known}.")
        key = ApiKey("key_" + secrets.token_hex(8), name, plan, created_at=time.time())
        try:
            with self._database.transaction() as transaction:
                transaction.execute(KEYS.insert().values(**_row(key)))
                return _new_secret(transaction, key.id)
        except sa.exc.IntegrityError as error:
            raise BadRequest(
                f"There is a key named {name!r} already.", hint="Choose another."
            ) from error

    def check(self, secret: str | None) -> ApiKey:
        """The key of this secret. Raises `InvalidApiKey`."""
        if not secret:
            raise InvalidApiKey("This needs an API key.", hint=_MISSING)
        digest, now = _hash(secret), time.time()
        query = sa.select(KEYS, _S.hash, _S.expires_at).join(KEY_SECRETS).where(_S.hash == digest)
        with self._database.engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        # The index found it by its hash; comparing in constant time costs nothing and stays right
        # whatever the database's own comparison does.
        if row is None or not hmac.compare_digest(row["hash"], digest):
            raise InvalidApiKey("This API key is not known.", hint=_MISSING)
        if any(end is not None and end <= now for end in (row["revoked_at"], row["expires_at"])):
            raise InvalidApiKey("This API key was revoked.", hint=_MISSING)
        return _key(row)

    def list(self) -> dict[ApiKey, list[KeySecret]]:
        """All keys, the oldest first; of each the secrets that work, the newest first."""
        good = sa.or_(_S.expires_at.is_(None), _S.expires_at > time.time())
        works = sa.and_(_S.key_id == _C.id, _C.revoked_at.is_(None), good)
        query = sa.select(KEYS, _S.prefix, _S.expires_at).outerjoin(KEY_SECRETS, works)
        newest_first = _S.expires_at.desc().nulls_first()
        found: dict[ApiKey, list[KeySecret]] = {}
        with self._database.engine.connect() as connection:
            for row in connection.execute(query.order_by(_C.created_at, newest_first)).mappings():
                known = found.setdefault(_key(row), [])
                if row["prefix"]:
                    known.append(KeySecret(row["prefix"], row["expires_at"]))
        return found

    def revoke(self, name: str) -> None:
        """End the key with this id or name now, on every host. Raises `NotFound`."""
        with self._database.transaction() as transaction:
            key = _found(transaction, name)
            transaction.execute(KEYS.update().where(_C.id == key.id).values(revoked_at=time.time()))

    def rotate(self, name: str, *, by: str | None = None, overlap: float = OVERLAP) -> str:
        """A new secret for the key with this id or name; the old ones work `overlap` more
        seconds. `by`: the secret that asks for it; one that was replaced may not, or whoever
        stole it could take the key over. Raises `NotFound` or `Conflict`."""
        ends = time.time() + overlap
        with self._database.transaction() as transaction:
            key = _found(transaction, name)
            if by is not None:
                newest = KEY_SECRETS.update().where(_S.hash == _hash(by), _S.expires_at.is_(None))
                if transaction.execute(newest.values(expires_at=ends)).rowcount != 1:
                    raise Conflict(
                        "This secret was replaced already.", hint="Ask with the one that did."
                    )
            still_good = sa.or_(_S.expires_at.is_(None), _S.expires_at > ends)
            transaction.execute(
                KEY_SECRETS.update().where(_S.key_id == key.id, still_good).values(expires_at=ends)
            )
            return _new_secret(transaction, key.id)


def _find(transaction: Transaction, name: str) -> ApiKey | None:
    query = sa.select(KEYS).where(sa.or_(_C.id == name, _C.name == name), _C.revoked_at.is_(None))
    row = transaction.execute(query).mappings().first()
    return _key(row) if row else None


def _found(transaction: Transaction, name: str) -> ApiKey:
    if (key := _find(transaction, name)) is None:
        raise NotFound(f"There is no key {name!r}.", hint="`filemill keys list` shows them.")
    return key


def _new_secret(transaction: Transaction, key_id: str) -> str:
    secret = PREFIX + secrets.token_urlsafe(30)
    transaction.execute(
        KEY_SECRETS.insert().values(
            hash=_hash(secret), key_id=key_id, prefix=secret[: len(PREFIX) + 6]
        )
    )
    return secret


def _hash(secret: str) -> str:
    """SHA-256 suffices: a secret has 240 random bits, there is nothing to guess slowly."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _row(key: ApiKey) -> dict[str, Any]:
    return {name: getattr(key, name) for name in ApiKey.__dataclass_fields__}


def _key(row: Any) -> ApiKey:
    return ApiKey(**{name: row[name] for name in ApiKey.__dataclass_fields__})
