"""What a key may do: the plans. Floor 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class KeyPlan:
    """The limits of a key. None: no limit of the plan's own."""

    requests_per_minute: int
    """Of a key; of a client's address where no key is asked for."""
    conversions_per_month: int | None
    """Accepted ones, by calendar month (UTC); those that we failed do not count."""
    max_file_bytes: int | None
    concurrency: int | None
    """Jobs that run at once, on all hosts together."""
    queue: int | None
    """Jobs that may wait."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


PLANS: Mapping[str, KeyPlan] = {
    # name                    a minute   a month       file  at once  waiting
    "free": KeyPlan(               120,    1_000, 500 * MB,       2,      50),
    "pro": KeyPlan(              1_200,   50_000, 500 * MB,      10,   1_000),
    "unlimited": KeyPlan(    1_000_000,     None,     None,    None,    None),
    "anonymous": KeyPlan(        1_200,     None,     None,    None,     100),
}  # fmt: skip
"""`anonymous` is for a server without keys; `unlimited` for those whom the operator trusts."""
STRICTEST = "free"
"""Stands in for a plan that is not there any more."""
_FIELDS = {field.name for field in fields(KeyPlan)}


def read(given: Mapping[str, Mapping[str, int | None]]) -> Mapping[str, KeyPlan]:
    """The built-in plans with an operator's changes: by plan, then by field. A new plan has the
    values of `unlimited` where it says nothing. Raises ValueError for what is no limit."""
    plans = dict(PLANS)
    for name, changes in given.items():
        for field, value in changes.items():
            if field not in _FIELDS:
                raise ValueError(f"{name}: {field!r} is none of {', '.join(sorted(_FIELDS))}")
            if value is None and field != "requests_per_minute":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}.{field} is no whole number above 0")
        base = plans.get(name, PLANS["unlimited"])
        plans[name] = KeyPlan(**{**base.to_json(), **changes})
    return plans
