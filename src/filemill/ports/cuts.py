"""The checkpoints of steps that are done in parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from filemill.model import Blob, Cut
from filemill.ports.jobs import Transaction


class Cuts(Protocol):
    """Steps of jobs that are done in parts. Every change is a compare-and-set."""

    def open(self, transaction: Transaction, cut: Cut, *, base: float, span: float) -> bool:
        """Put a cut and its pieces on record; false when it is already. `base`: the job's progress
        before the step, 0..1; `span`: that of all parts."""
        ...

    def find(self, job_id: str) -> Cut | None:
        """The last step of the job that was cut."""
        ...

    def claim(self, job_id: str, step: int, number: int, attempt: str) -> int | None:
        """Make `attempt` the owner of a part. Gives how many attempts it has had by now; None when
        it is done, or its job does not want it any more."""
        ...

    def owns(self, job_id: str, step: int, number: int, attempt: str) -> bool: ...

    def tell(
        self,
        job_id: str,
        step: int,
        number: int,
        attempt: str,
        fraction: float,
        ends_at: float | None,
    ) -> tuple[float, int] | None:
        """Write how much of a part is done, and the job's progress with it. Gives that progress,
        0..1, and how many parts are being done; None when the part was lost."""
        ...

    def finish(
        self,
        transaction: Transaction,
        job_id: str,
        step: int,
        number: int,
        attempt: str,
        *,
        blob: Blob,
        facts: Mapping[str, Any],
    ) -> int | None:
        """Record the result of a part. Gives how many are left; None when the part was lost."""
        ...

    def give_up(self, transaction: Transaction, job_id: str, step: int) -> bool:
        """The step is to be done whole; false when that was said before, or all parts are done."""
        ...

    def close(self, job_id: str, step: int, outcome: Mapping[str, Any]) -> None:
        """Record what the joined step gave."""
        ...
