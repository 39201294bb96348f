"""What the end of a call changes: its slot, what it brought (common/saving.py), the line and the gate. One transaction.

It decides nothing: what an outcome means stands in common/core/outcomes.py.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from common.core.alpha_vantage import Answer
from common.core.limits import DAY, LEASE
from common.core.models import Function, Purpose, Quote
from common.core.outcomes import BAD_KEY_PAUSE, BLAMES_SYMBOL, THROTTLES, TRANSIENT, Outcome, hold_after
from common.errors import StoreUnavailable
from common.resources import Resources
from common.saving import write_answer, write_no_answer
from common.store import ledger, line, refreshes, symbols
from common.store.ledger import Grant
from common.store.pool import Connection, transaction

SETTLE_WITHIN = 12.0  # seconds: after that the slot is counted from the lease's end


@dataclass(frozen=True, slots=True)
class Settled:
    """What was saved, to be published; and for how long those who were served had waited for the grant."""

    quotes: Sequence[Quote] = ()
    waits: Sequence[tuple[Purpose, timedelta]] = ()


async def settle(
    resources: Resources, grant: Grant, outcome: Outcome, answer: Answer, *, asked: float | None = None
) -> Settled:
    """Write the outcome and what follows from it, in one transaction; a lost store is tried again until the lease is over.

    `asked`: when the ledger was asked for the call (monotonic seconds); None where its own clock alone counts.
    """
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(StoreUnavailable),
        stop=stop_after_delay(SETTLE_WITHIN),
        wait=wait_random_exponential(multiplier=0.1, max=1),
        reraise=True,
    ):
        with attempt:
            async with transaction(resources.db) as held:
                await ledger.lock_ledger(held)
                took = None if asked is None else timedelta(seconds=time.monotonic() - asked)
                return await _write_outcome(held, resources, grant, outcome, answer, took)
    raise AssertionError("AsyncRetrying ends with a result or an error")


async def _write_outcome(
    held: Connection, resources: Resources, grant: Grant, outcome: Outcome, answer: Answer, took: timedelta | None
) -> Settled:
    if outcome is Outcome.UNSENT:
        await give_back(held, grant)
        return Settled()
    at = await ledger.update_call(held, grant.id, outcome, took)
    if at is None:
        return Settled()
    if outcome is Outcome.OK:
        settled = await _write_success(held, resources, grant, answer, at)
    else:
        settled = await _write_refusal(held, resources, grant, outcome, at)
    await _tell_jobs(held, grant, outcome, grant.subjects)
    return settled


async def _write_success(held: Connection, resources: Resources, grant: Grant, answer: Answer, at: datetime) -> Settled:
    """The demand is answered, and the provider takes calls again.

    What is settled after the lease is as old as its end: from there on a newer call for the same may have been made.
    """
    saved, missing = await write_answer(held, resources, grant, answer, min(at, grant.granted_at + LEASE))
    waits = await line.delete_served(held, grant.id, grant.subjects)
    await ledger.update_probed(held, resources.ask.account)
    await ledger.update_background_hold(held, resources.ask.account, None)
    await _tell_jobs(held, grant, Outcome.NO_DATA, missing)
    return Settled(saved, waits)


async def _write_refusal(
    held: Connection, resources: Resources, grant: Grant, outcome: Outcome, at: datetime
) -> Settled:
    account, waits = resources.ask.account, []
    if outcome is Outcome.NOT_ENTITLED and grant.function is Function.BULK:
        await ledger.update_bulk_denied(held, account, at + DAY)
        await _put_back(held, grant, counts=False)
        return Settled()
    if outcome in BLAMES_SYMBOL:
        await write_no_answer(held, resources, grant, at)
    if outcome in TRANSIENT | THROTTLES:
        await line.release_unserved(held, grant.id, backoff=_backoff(), counts=outcome in TRANSIENT)
    else:
        waits = await line.delete_served(held, grant.id, grant.subjects)
    if (hold := hold_after(outcome, resources.ask.limits, at)) is not None:
        await ledger.upsert_hold(held, account, hold)
    elif outcome in BLAMES_SYMBOL | {Outcome.NOT_ENTITLED}:
        await ledger.update_probed(held, account)
    if outcome is Outcome.BAD_KEY:
        await ledger.update_background_hold(held, account, at + BAD_KEY_PAUSE)
    return Settled(waits=waits)


async def give_back(held: Connection, grant: Grant) -> None:
    """Nothing left this house: the slot is free, the symbols are as old as they were, who waits waits on."""
    if await ledger.update_call(held, grant.id, Outcome.UNSENT) is not None:
        await _put_back(held, grant, counts=True)
        await _tell_jobs(held, grant, Outcome.UNSENT, grant.subjects)


async def _tell_jobs(held: Connection, grant: Grant, outcome: Outcome, symbols: Sequence[str]) -> None:
    """Operators' refreshes of symbols that stand in the line no more have ended so; what was told before stands."""
    if grant.function in (Function.QUOTE, Function.BULK):
        await refreshes.update_settled(held, grant.id, symbols, outcome)


async def _put_back(held: Connection, grant: Grant, *, counts: bool) -> None:
    """The symbols were not tried: they are as old as they were."""
    await symbols.update_unattempted(held, grant.id)
    await line.release_unserved(held, grant.id, backoff=_backoff(), counts=counts)


def _backoff() -> timedelta:
    """Between the tries of one demand; jitter keeps processes apart."""
    return timedelta(seconds=random.uniform(0.5, 2.0))  # nosec B311
