"""Follow a refresh to its end: look at it again and again, show what has changed, and notice when nobody works.

The job needs no follower: it goes on when this process ends.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from common.errors import StoreUnavailable
from common.operations.budget import report_budget
from common.operations.refreshing import JobReport, report_job
from common.operations.status import report_status
from common.process.resources import Resources
from ops.status import SEEN, START_BOTH, works
from ops.terminal import AWAY, REFUSED, tell, when

AGAIN = 0.4  # seconds between two looks
STILL = 8.0  # seconds without a change, after which we ask why
PATIENCE = 15.0  # seconds that a store may be away


@dataclass(frozen=True, slots=True)
class Reason:
    """Why nothing moves, with what to do, and the exit code for it."""

    code: int
    told: str


@dataclass(slots=True)
class Watch:
    """When the job last changed, and what was told about it standing still."""

    state: tuple[int, int, int] = (-1, 0, 0)
    changed: float = field(default_factory=time.monotonic)
    answered: float = field(default_factory=time.monotonic)
    held: bool = False

    def stands_still(self, report: JobReport, still: float) -> bool:
        """Whether nothing has changed for so many seconds; said once in that time."""
        self.answered, state = time.monotonic(), (report.settled, report.under_way, report.expired)
        is_still = state == self.state and self.answered > self.changed + still
        if is_still or state != self.state:
            self.state, self.changed = state, self.answered
        return is_still


async def follow(
    resources: Resources,
    job: int,
    show: Callable[[JobReport], None],
    *,
    still: float = STILL,
    statement_timeout: float = PATIENCE,
) -> Reason | None:
    """Until it is done (None), or until there is a reason not to wait. Raise `NotFound`, or `StoreUnavailable` if it was so for long."""
    watch = Watch()
    while True:
        try:
            report = await read_job(resources, job)
            show(report)
            if report.done:
                return None
            if watch.stands_still(report, still) and (reason := await _why_still(resources, watch)):
                return reason
        except StoreUnavailable:
            if time.monotonic() > watch.answered + statement_timeout:
                raise
        await asyncio.sleep(AGAIN)


async def read_job(resources: Resources, job: int) -> JobReport:
    """With all its items, which come in bits."""
    report = await report_job(resources, job)
    items, after = report.items, report.next
    while after is not None:
        more = await report_job(resources, job, after=after)
        items, after = items + more.items, more.next
    return msgspec.structs.replace(report, items=items, next=None)


async def _why_still(resources: Resources, watch: Watch) -> Reason | None:
    """None: it only has to wait for its turn, which is told once if it is a hold."""
    status = await report_status(resources)
    if status.redis == "disconnected":
        return Reason(
            AWAY, "Redis does not answer, so no worker is woken; see that it runs, and that REDIS_URL leads to it"
        )
    budget = await report_budget(resources)
    if budget.held_until and not watch.held:
        watch.held = True
        tell(f"no call goes before {when(budget.held_until)} ({budget.held_for}); Ctrl-C leaves the job in the line")
    if budget.next_free_at is None and not works(status):
        return Reason(REFUSED, f"no worker was seen in the last {SEEN:g} s; {START_BOTH}")
    return None
