"""Settle a call: write its outcome, its data (common/calls/save.py), the queue and the gate, in one transaction.

What an outcome means is decided in common/core/provider/outcomes.py, when the gate closes in common/core/budget/holds.py.

The order of writes matters. The ledger's lock comes before any row, as in a grant. `calls.outcome` comes next: it is NULL once only, so a
second settlement of the call finds nothing to do. Refresh jobs come last: their items end when the symbol has left the queue.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import asyncpg
import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from common.calls.save import write_answer, write_no_answer
from common.core.budget.holds import hold_after_failure, hold_without_day
from common.core.limits import DAY, LEASE
from common.core.models import CallClass, Function, Quote
from common.core.provider.alpha_vantage import Answer
from common.core.provider.outcomes import BLAMES_SYMBOL, NO_ANSWER, THROTTLES, TRANSIENT, Outcome, hold_after
from common.errors import StoreUnavailable
from common.process.resources import Resources
from common.store.budget import gate, ledger, queue, refresh_jobs
from common.store.budget.ledger import Grant
from common.store.connection.pool import Connection, transaction
from common.store.market import symbols

log = structlog.get_logger(__name__)

SETTLE_TIMEOUT = 12.0  # seconds; unsettled after that, the slot counts from the end of the lease
QUOTES = (Function.QUOTE, Function.BULK)
UNAVAILABLE_ERRORS = (
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.LockNotAvailableError,
)  # the database's own trouble: worth a retry
UNWRITABLE_ERRORS = (
    asyncpg.PostgresError,
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
)  # the answer cannot be written


@dataclass(frozen=True, slots=True)
class Settled:
    """The saved quotes, to be published; and the queueing time of each served request."""

    quotes: Sequence[Quote] = ()
    waits: Sequence[tuple[CallClass, timedelta]] = ()


@dataclass(frozen=True, slots=True)
class _End:
    """How a call ended; `wait` and `asked` as in `settle`."""

    outcome: Outcome
    answer: Answer
    wait: timedelta | None
    asked: float | None


async def settle(
    resources: Resources,
    grant: Grant,
    outcome: Outcome,
    answer: Answer,
    *,
    wait: timedelta | None = None,
    asked: float | None = None,
) -> Settled:
    """Write the outcome and everything that follows from it, in one transaction. Retry a lost database until the lease is over, then raise
    `StoreUnavailable`. If the database rejects the answer, settle the call as one without data.

    `wait`: how long the provider asks to wait. `asked`: when the ledger was asked for the call, in monotonic seconds; None to use the
    ledger's clock only.
    """
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type((StoreUnavailable, *UNAVAILABLE_ERRORS)),
        stop=stop_after_delay(SETTLE_TIMEOUT),
        wait=wait_random_exponential(multiplier=0.1, max=1),
        reraise=True,
    ):
        with attempt:
            return await _settle_or_refuse(resources, grant, _End(outcome, answer, wait, asked))
    raise AssertionError("AsyncRetrying ends with a result or an error")


async def _settle_or_refuse(resources: Resources, grant: Grant, end: _End) -> Settled:
    try:
        return await _settle(resources, grant, end)
    except UNAVAILABLE_ERRORS:
        raise
    except UNWRITABLE_ERRORS:
        if end.outcome is not Outcome.OK:
            raise
        log.exception("answer_refused", call=grant.id, subjects=grant.subjects)
        return await _settle(resources, grant, replace(end, outcome=Outcome.NO_DATA, answer=()))


async def _settle(resources: Resources, grant: Grant, end: _End) -> Settled:
    async with transaction(resources.db) as connection:
        await ledger.lock_ledger(connection)
        took = None if end.asked is None else timedelta(seconds=time.monotonic() - end.asked)
        return await _write_outcome(connection, resources, grant, end, took)


async def _write_outcome(
    connection: Connection, resources: Resources, grant: Grant, end: _End, took: timedelta | None
) -> Settled:
    outcome = end.outcome
    if outcome is Outcome.UNSENT:
        if await give_back(connection, grant):
            await _close_gate(connection, resources, grant, outcome, await ledger.select_now(connection))
        return Settled()
    at = await ledger.update_call(connection, grant.id, outcome, took)
    if at is None:
        return Settled()
    if outcome is Outcome.OK:
        settled = await _write_success(connection, resources, grant, end.answer, at)
    else:
        settled = await _write_refusal(connection, resources, grant, outcome, end.wait, at)
    await _record_in_jobs(connection, grant, outcome, grant.subjects)
    return settled


async def _write_success(
    connection: Connection, resources: Resources, grant: Grant, answer: Answer, at: datetime
) -> Settled:
    """Save the answer, remove the served requests from the queue, open the gate.

    An answer settled after the lease is dated to the lease's end: after that a newer call for the same symbol may have been granted.
    """
    saved, missing = await write_answer(connection, resources, grant, answer, min(at, grant.granted_at + LEASE))
    waits = await queue.delete_served(connection, grant.id, grant.subjects)
    await gate.update_answered(connection, resources.budget.account)
    await _record_in_jobs(connection, grant, Outcome.NO_DATA, missing)
    return Settled(saved, waits)


async def _write_refusal(
    connection: Connection, resources: Resources, grant: Grant, outcome: Outcome, wait: timedelta | None, at: datetime
) -> Settled:
    account = resources.budget.account
    # The key may make calls, but not bulk calls: this says nothing about the symbols, and one-symbol calls serve the requests that are
    # released here. The caller's `_record_in_jobs` finds them queued, so no job's item ends.
    if outcome is Outcome.NOT_ENTITLED and grant.function is Function.BULK:
        await gate.update_bulk_denied(connection, account, at + DAY)
        await gate.update_answered(connection, account)
        await _release(connection, grant, counts=False)
        return Settled()
    if (
        outcome in BLAMES_SYMBOL
        and grant.function in QUOTES
        and await gate.select_blames_provider(connection, resources.budget)
    ):
        log.warning("provider_blamed", call=grant.id, subjects=grant.subjects)
        await symbols.update_forgiven_lately(connection, account, gate.blame_period(resources.budget))
        outcome = Outcome.UNKNOWN_NOTICE
        await ledger.update_blamed(connection, grant.id, outcome)
    if outcome in BLAMES_SYMBOL:
        await write_no_answer(connection, resources, grant, at)
    if outcome in NO_ANSWER:
        await _close_gate(connection, resources, grant, outcome, at)
    else:
        await _note_answered(connection, resources, outcome, wait, at)
    if outcome in THROTTLES:
        await symbols.update_untried(connection, grant.id)
    if outcome in TRANSIENT | THROTTLES:
        await queue.release_unserved(connection, grant.id, jitter=_jitter(), counts=outcome in TRANSIENT)
        return Settled()
    return Settled(waits=await queue.delete_served(connection, grant.id, grant.subjects))


async def _close_gate(
    connection: Connection, resources: Resources, grant: Grant, outcome: Outcome, at: datetime
) -> None:
    """Count a call without an answer; after a few in a row close the gate, so that only a probe goes now and then."""
    failures = await gate.update_failed(connection, resources.budget, grant.granted_at)
    if failures is not None:
        hold = hold_after_failure(outcome, resources.budget.limits, failures, at)
        if hold is not None:
            await gate.update_closed(connection, resources.budget.account, hold, at)


async def _note_answered(
    connection: Connection, resources: Resources, outcome: Outcome, wait: timedelta | None, at: datetime
) -> None:
    """An answer opens the gate; a throttle puts calls on hold until its window has passed.

    "Day used up" without a rule for a day: the hold doubles each time, since nothing says when that day ends.
    """
    account, policy = resources.budget.account, resources.policy
    if outcome is Outcome.DAY_USED_UP and policy.quota is None:
        failures = await gate.update_failed(connection, resources.budget, at)
        await gate.upsert_hold(connection, account, hold_without_day(failures.in_a_row if failures else 1, at))
        return
    await gate.update_answered(connection, account)
    if (hold := hold_after(outcome, resources.budget.limits, at, wait)) is not None:
        await gate.upsert_hold(connection, account, hold)


async def give_back(connection: Connection, grant: Grant) -> bool:
    """The request was never sent: free the slot, restore the symbols' attempts, requeue the requests. False: already settled."""
    if await ledger.update_call(connection, grant.id, Outcome.UNSENT) is None:
        return False
    await _release(connection, grant, counts=True)
    await _record_in_jobs(connection, grant, Outcome.UNSENT, grant.subjects)
    return True


async def _record_in_jobs(connection: Connection, grant: Grant, outcome: Outcome, symbols: Sequence[str]) -> None:
    """Record the outcome for refresh-job items whose symbol has left the queue; items already finished are unchanged."""
    if grant.function in QUOTES:
        await refresh_jobs.update_settled(connection, grant.id, symbols, outcome)


async def _release(connection: Connection, grant: Grant, *, counts: bool) -> None:
    """The call says nothing about its symbols: restore their attempts and release their requests."""
    await symbols.update_untried(connection, grant.id)
    await queue.release_unserved(connection, grant.id, jitter=_jitter(), counts=counts)


def _jitter() -> float:
    """A random factor that keeps the retries of several processes apart."""
    return random.uniform(0.75, 1.25)  # nosec B311
