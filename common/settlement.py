"""What the end of a call changes: its slot, the quotes it brought, the symbols it was about, the line and the gate. One transaction.

It decides nothing: what an outcome means stands in common/core/outcomes.py.
"""

import random
from datetime import datetime, timedelta

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from common.core.limits import DAY
from common.core.models import Function, Price, Quote
from common.core.outcomes import (
    BAD_KEY_PAUSE,
    BLAMES_SYMBOL,
    FIRST_QUARANTINE,
    THROTTLES,
    TRANSIENT,
    Outcome,
    hold_after,
)
from common.errors import StoreUnavailable
from common.resources import Resources
from common.sessions import open_calendar
from common.store import ledger, line, quotes, symbols
from common.store.ledger import Grant
from common.store.pool import Connection, transaction

SETTLE_WITHIN = 12.0  # seconds: after that the slot is counted from the lease's end


async def settle(resources: Resources, grant: Grant, outcome: Outcome, prices: tuple[Price, ...]) -> list[Quote]:
    """Write the outcome and what follows from it, in one transaction; a lost store is tried again until the lease is over."""
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(StoreUnavailable),
        stop=stop_after_delay(SETTLE_WITHIN),
        wait=wait_random_exponential(multiplier=0.1, max=1),
        reraise=True,
    ):
        with attempt:
            async with transaction(resources.db) as held:
                return await _write_outcome(held, resources, grant, outcome, prices)
    raise AssertionError("AsyncRetrying ends with a result or an error")


async def _write_outcome(
    held: Connection, resources: Resources, grant: Grant, outcome: Outcome, prices: tuple[Price, ...]
) -> list[Quote]:
    await ledger.lock_ledger(held)
    if outcome is Outcome.UNSENT:
        await give_back(held, grant)
        return []
    at = await ledger.update_call(held, grant.id, outcome)
    if at is None:
        return []
    if outcome is Outcome.OK:
        return await _write_prices(held, resources, grant, prices, at)
    await _write_refusal(held, resources, grant, outcome, at)
    return []


async def _write_prices(
    held: Connection, resources: Resources, grant: Grant, prices: tuple[Price, ...], at: datetime
) -> list[Quote]:
    """Quotes of a sane day are saved; a symbol that was asked for and not answered is the symbol's failure."""
    today = at.date() + timedelta(days=1)  # the provider's day may be ahead of ours
    fetched = [Quote(price, resources.settings.source, at) for price in prices if price.trading_day <= today]
    saved = [quote for quote in fetched if await quotes.upsert_quote(held, quote)]
    for quote in saved:
        await quotes.insert_history(held, quote)
    answered = [quote.symbol for quote in fetched]
    await symbols.update_quoted(held, answered)
    await _advance_clocks(held, resources, fetched)
    missing = [subject for subject in grant.subjects if subject not in answered]
    await symbols.update_failed(held, missing, at, FIRST_QUARANTINE)
    await line.delete_served(held, grant.id, grant.subjects)
    await ledger.update_probed(held, resources.ask.account)
    await ledger.update_background_hold(held, resources.ask.account, None)
    return saved


async def _advance_clocks(held: Connection, resources: Resources, fetched: list[Quote]) -> None:
    """Where the clock counts trading days, a probe that brought the new one has served its symbol."""
    if resources.policy.data == "end_of_day" and fetched:
        calendar = open_calendar(resources.settings.market_hours, fetched[0].fetched_at)
        for quote in fetched:
            await symbols.update_clock(held, quote.symbol, float(calendar.sessions_until(quote.price.trading_day)))


async def _write_refusal(held: Connection, resources: Resources, grant: Grant, outcome: Outcome, at: datetime) -> None:
    account = resources.ask.account
    if outcome is Outcome.NOT_ENTITLED and grant.function is Function.BULK:
        await ledger.update_bulk_denied(held, account, at + DAY)
        await _put_back(held, grant, counts=False)
        return
    if outcome in BLAMES_SYMBOL:
        await symbols.update_failed(held, grant.subjects, at, FIRST_QUARANTINE)
    if outcome in TRANSIENT | THROTTLES:
        await line.release_unserved(held, grant.id, backoff=_backoff(), counts=outcome in TRANSIENT)
    else:
        await line.delete_served(held, grant.id, grant.subjects)
    if (hold := hold_after(outcome, resources.ask.limits, at)) is not None:
        await ledger.upsert_hold(held, account, hold)
    elif outcome in BLAMES_SYMBOL | {Outcome.NOT_ENTITLED}:
        await ledger.update_probed(held, account)
    if outcome is Outcome.BAD_KEY:
        await ledger.update_background_hold(held, account, at + BAD_KEY_PAUSE)


async def give_back(held: Connection, grant: Grant) -> None:
    """Nothing left this house: the slot is free, the symbols are as old as they were, who waits waits on."""
    if await ledger.update_call(held, grant.id, Outcome.UNSENT) is not None:
        await _put_back(held, grant, counts=True)


async def _put_back(held: Connection, grant: Grant, *, counts: bool) -> None:
    """The symbols were not tried: they are as old as they were."""
    await symbols.update_unattempted(held, grant.id)
    await line.release_unserved(held, grant.id, backoff=_backoff(), counts=counts)


def _backoff() -> timedelta:
    """Between the tries of one demand; jitter keeps processes apart."""
    return timedelta(seconds=random.uniform(0.5, 2.0))  # nosec B311
