"""The tables. Times are POSIX seconds; JSON columns hold what model values' `to_json` gives."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa


class _Json(sa.TypeDecorator[Any]):
    """JSON as text; None is NULL. SQLite gives a column of type JSON numeric affinity: a number
    of 20 digits would come back rounded."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        del dialect
        return None if value is None else json.dumps(value, allow_nan=False)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        del dialect
        return None if value is None else json.loads(value)


METADATA = sa.MetaData()
_JSON = _Json()

SCHEMA_VERSION = sa.Table(
    "schema_version",
    METADATA,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
)
"""One row; see `schema`."""

JOBS = sa.Table(
    "jobs",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("key_id", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("plan", _JSON, nullable=False),
    sa.Column("filename", sa.Text, nullable=False),
    sa.Column("input", _JSON, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Column("turn", sa.Integer, nullable=False),
    sa.Column("held", sa.Boolean, nullable=False),
    sa.Column("progress_pct", sa.Integer, nullable=False, default=0),
    sa.Column("attempt", sa.String(64)),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("output", _JSON),
    sa.Column("output_name", sa.Text),
    sa.Column("media_type", sa.Text),
    sa.Column("started_at", sa.Double),
    sa.Column("finished_at", sa.Double),
    sa.Column("ends_at", sa.Double),
    sa.Column("report", _JSON),
    sa.Column("error", _JSON),
    sa.Column("webhook_url", sa.Text),
    sa.Column("source_url", sa.Text),
    sa.Column("output_url", sa.Text),
    sa.Column("metadata", _JSON),
    sa.Column("base_url", sa.Text, nullable=False),
    sa.Index("jobs_of_key", "key_id", "created_at", "id"),
    sa.Index("jobs_by_state", "state", "created_at"),
    sa.Index("jobs_by_expiry", "expires_at"),
    sa.Index("jobs_in_line", "key_id", "state", "turn"),
    sa.Index("jobs_by_end", "state", "finished_at"),
    sa.Index("jobs_of_key_by_end", "key_id", "finished_at"),
)

CUTS = sa.Table(
    "cuts",
    METADATA,
    sa.Column("job_id", sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("grain", sa.Double, nullable=False),
    sa.Column("facts", _JSON, nullable=False),
    sa.Column("earlier", _JSON, nullable=False),
    sa.Column("waiting", sa.Integer, nullable=False),
    sa.Column("whole", sa.Boolean, nullable=False),
    sa.Column("outcome", _JSON),
    sa.Column("base", sa.Double, nullable=False),
    sa.Column("span", sa.Double, nullable=False),
)
"""Steps that are done in parts; `waiting` of these are not done."""

PARTS = sa.Table(
    "parts",
    METADATA,
    sa.Column("job_id", sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("weight", sa.Double, nullable=False),
    sa.Column("attempt", sa.String(64)),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("fraction", sa.Double, nullable=False, default=0.0),
    sa.Column("blob", _JSON),
    sa.Column("facts", _JSON),
)

KEYS = sa.Table(
    "api_keys",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("plan", sa.String(32), nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("revoked_at", sa.Double),
    # A name is free again once its key is revoked.
    sa.Index(
        "api_keys_name",
        "name",
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    ),
)

KEY_SECRETS = sa.Table(
    "api_key_secrets",
    METADATA,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("key_id", sa.ForeignKey("api_keys.id"), nullable=False, index=True),
    sa.Column("prefix", sa.String(32), nullable=False),
    sa.Column("expires_at", sa.Double),
)
"""More than one a key while it is being rotated."""

REQUEST_COUNTS = sa.Table(
    "request_counts",
    METADATA,
    sa.Column("subject", sa.String(128), primary_key=True),
    sa.Column("start", sa.BigInteger, primary_key=True),
    sa.Column("ends_at", sa.Double, nullable=False),
    sa.Column("used", sa.BigInteger, nullable=False),
)

USAGE = sa.Table(
    "usage",
    METADATA,
    sa.Column("key_id", sa.String(64), primary_key=True),
    sa.Column("month", sa.String(7), nullable=False),
    sa.Column("used", sa.Integer, nullable=False),
)

IDEMPOTENCY = sa.Table(
    "idempotency",
    METADATA,
    sa.Column("key_id", sa.String(64), primary_key=True),
    sa.Column("token", sa.String(128), primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("job_id", sa.String(64), nullable=False, index=True),
    sa.Column("expires_at", sa.Double, nullable=False, index=True),
)

SECRETS = sa.Table(
    "secrets",
    METADATA,
    sa.Column("purpose", sa.String(32), primary_key=True),
    sa.Column("created_at", sa.Double, primary_key=True),
    sa.Column("value", sa.String(128), nullable=False),
)

DELIVERIES = sa.Table(
    "deliveries",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("job_id", sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("key_id", sa.String(64), nullable=False),
    sa.Column("event", sa.String(32), nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_at", sa.Double),
    sa.Index("deliveries_due", "state", "next_at"),
)

ATTEMPTS = sa.Table(
    "delivery_attempts",
    METADATA,
    sa.Column("delivery_id", sa.ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("error", sa.Text),
)

WEBHOOK_SECRETS = sa.Table(
    "webhook_secrets",
    METADATA,
    sa.Column("key_id", sa.String(64), primary_key=True),
    sa.Column("created_at", sa.Double, primary_key=True),
    sa.Column("value", sa.String(128), nullable=False),
    sa.Column("expires_at", sa.Double),
)

UPLOADS = sa.Table(
    "uploads",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("key_id", sa.String(64), nullable=False),
    sa.Column("filename", sa.Text, nullable=False),
    sa.Column("metadata", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("parts", _JSON, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Column("format", sa.String(32)),
    sa.Column("partial", sa.Boolean, nullable=False),
    sa.Column("lock", sa.String(64)),
    sa.Column("locked_until", sa.Double),
    sa.Index("uploads_of_key", "key_id"),
    sa.Index("uploads_by_expiry", "expires_at"),
)
