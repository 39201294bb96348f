"""Persist a provider answer, by function: quotes, bars, matches, the listing; or remember that there was none.

It writes within the transaction of common/calls/settle.py, which settles the slot, the queue and the gate.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

import structlog

from common.core.calendar.closes import answered_clock
from common.core.calendar.trading_day import is_abroad, latest_day
from common.core.models import Bar, Function, Listed, Match, Price, Quote
from common.core.provider.alpha_vantage import Answer
from common.core.provider.fields import printable
from common.core.provider.outcomes import FIRST_QUARANTINE
from common.market_calendar import can_trade, open_calendar
from common.process.resources import Resources
from common.store.budget.ledger import Grant
from common.store.connection.pool import Connection
from common.store.market import bars, history, listings, quotes, searches, symbols

log = structlog.get_logger(__name__)

BULK_HISTORY_GAP = timedelta(minutes=1)  # between two rows of a symbol

Row = TypeVar("Row", Match, Listed)
Missing = list[str]  # subjects without an answer
Written = tuple[list[Quote], Missing]
Writer = Callable[[Connection, Resources, Grant, Answer, datetime], Awaitable[Written]]


async def write_answer(
    connection: Connection, resources: Resources, grant: Grant, answer: Answer, at: datetime
) -> Written:
    """Save an answer of the ledger's time `at`. Return the quotes to publish, and the subjects that the answer lacks."""
    return await WRITERS[grant.function](connection, resources, grant, answer, at)


async def write_no_answer(connection: Connection, resources: Resources, grant: Grant, at: datetime) -> None:
    """Remember that the provider has no data: a failure of the symbol for quotes; a refusal for bars and searches."""
    source = resources.settings.source
    if grant.function in (Function.QUOTE, Function.BULK):
        await symbols.upsert_failed(connection, resources.budget.account, grant.subjects, at, FIRST_QUARANTINE)
    elif grant.function is Function.DAILY:
        await bars.upsert_bars_refused(connection, source, grant.subjects[0], at)
    elif grant.function is Function.SEARCH:
        await searches.upsert_search_refused(connection, source, grant.subjects[0], at)


async def _write_prices(
    connection: Connection, resources: Resources, grant: Grant, answer: Answer, at: datetime
) -> Written:
    """Save quotes whose trading day is not in the future; record a failure for each symbol without a quote."""
    prices = [item for item in answer if isinstance(item, Price) and item.trading_day <= latest_day(item.symbol, at)]
    fetched = [Quote(price, resources.settings.source, at) for price in prices]
    saved = [quote for quote in fetched if await quotes.upsert_quote(connection, quote)]
    await history.insert_history(connection, saved, gap=_history_gap(resources, grant, at))
    counts_days = resources.policy.data == "end_of_day"
    newest = await quotes.select_newest_day(connection, resources.settings.source) if counts_days else None
    answered = {quote.symbol: _clock(resources, quote, newest) for quote in fetched}
    await symbols.update_quoted(connection, resources.budget, answered)
    missing = [subject for subject in grant.subjects if subject not in answered]
    await symbols.upsert_failed(connection, resources.budget.account, missing, at, FIRST_QUARANTINE)
    return saved, missing


def _history_gap(resources: Resources, grant: Grant, at: datetime) -> timedelta:
    """The least time between two history rows of a symbol: bulk calls may bring one each second. After the close every quote is kept."""
    is_open = open_calendar(resources.settings.market_hours, at).is_open(at)
    return BULK_HISTORY_GAP if grant.function is Function.BULK and is_open else timedelta()


def _clock(resources: Resources, quote: Quote, newest: date | None) -> float | None:
    """The market clock that a quote represents; None if it lacks the latest published close."""
    data, at = resources.settings.provider_data, quote.fetched_at
    calendar = open_calendar(resources.settings.market_hours, at)
    return answered_clock(calendar, quote.price.trading_day, at, data, newest=newest)


async def _write_bars(
    connection: Connection, resources: Resources, grant: Grant, answer: Answer, at: datetime
) -> Written:
    """Save bars whose day is not in the future; without any, treat the answer as one without data."""
    source, symbol = resources.settings.source, grant.subjects[0]
    sane = [item for item in answer if isinstance(item, Bar) and item.day <= latest_day(symbol, at)]
    if not sane:
        await write_no_answer(connection, resources, grant, at)
        return [], []
    await bars.upsert_bars(connection, source, symbol, sane)
    await _delete_withdrawn(connection, source, symbol, [item.day for item in sane])
    await bars.upsert_bars_fetched(connection, source, symbol, at)
    log.info("bars_refreshed", call=grant.id, symbol=symbol, rows=len(sane))
    return [], []


async def _delete_withdrawn(connection: Connection, source: str, symbol: str, days: Sequence[date]) -> None:
    """Delete stored bars that the answer should contain but does not, if their day had no session: the provider sent them by mistake."""
    others = await bars.select_other_days(connection, source, symbol, days)
    gone = [day for day in others if not can_trade(day, abroad=is_abroad(symbol))]
    if gone:
        await bars.delete_bars(connection, source, symbol, gone)
        log.info("bars_taken_back", symbol=symbol, days=[day.isoformat() for day in gone])


async def _write_matches(
    connection: Connection, resources: Resources, grant: Grant, answer: Answer, at: datetime
) -> Written:
    matches = [_readable(item) for item in answer if isinstance(item, Match)]
    await searches.upsert_search(connection, resources.settings.source, grant.subjects[0], matches, at)
    log.info("search_saved", call=grant.id, query=grant.subjects[0], matches=len(matches))
    return [], []


async def _write_listing(
    connection: Connection, resources: Resources, grant: Grant, answer: Answer, at: datetime
) -> Written:
    """Replace the listing, unless it shrank by half or more. The call is in the ledger either way, so a retry waits an hour."""
    listed = [_readable(item) for item in answer if isinstance(item, Listed)]
    if await listings.replace_listing(connection, resources.settings.source, listed, at):
        log.info("listing_refreshed", call=grant.id, rows=len(listed))
    else:
        log.warning("listing_shrank", call=grant.id, rows=len(listed))
    return [], []


def _readable(row: Row) -> Row:
    """The row with texts that PostgreSQL can store: no control characters."""
    texts = {name: value for name in row.__slots__ if isinstance(value := getattr(row, name), str)}
    odd: dict[str, Any] = {name: printable(text) for name, text in texts.items() if not text.isprintable()}
    return replace(row, **odd) if odd else row


WRITERS: dict[Function, Writer] = {
    Function.QUOTE: _write_prices,
    Function.BULK: _write_prices,
    Function.DAILY: _write_bars,
    Function.SEARCH: _write_matches,
    Function.LISTING: _write_listing,
}
