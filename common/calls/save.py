"""What an answer leaves behind, by what was asked: quotes, bars, matches, the listing; and what is remembered when there was none.

It writes within the transaction of a settlement (common/calls/settle.py); slot, line and gate are settled there.
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

BULK_HISTORY_GAP = timedelta(minutes=1)

Row = TypeVar("Row", Match, Listed)
Missing = list[str]  # subjects that were asked for and not answered
Written = tuple[list[Quote], Missing]
Writer = Callable[[Connection, Resources, Grant, Answer, datetime], Awaitable[Written]]


async def write_answer(
    connection: Connection, resources: Resources, grant: Grant, answer: Answer, at: datetime
) -> Written:
    """Save what came at the ledger's time `at`. The quotes that were taken, to be published, and what the answer lacks."""
    return await WRITERS[grant.function](connection, resources, grant, answer, at)


async def write_no_answer(connection: Connection, resources: Resources, grant: Grant, at: datetime) -> None:
    """The provider has nothing for what was asked. Of a symbol's quote that is a failure; of the rest it is remembered apart."""
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
    """Quotes of a sane day are saved; a symbol that was asked for and not answered is the symbol's failure."""
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
    """Between two rows of a symbol. Bulk calls may bring it every second; the final price, after the close, is always collected."""
    is_open = open_calendar(resources.settings.market_hours, at).is_open(at)
    return BULK_HISTORY_GAP if grant.function is Function.BULK and is_open else timedelta()


def _clock(resources: Resources, quote: Quote, newest: date | None) -> float | None:
    """The market's clock that a quote is of; None: it lacks the close that is out."""
    data, at = resources.settings.provider_data, quote.fetched_at
    calendar = open_calendar(resources.settings.market_hours, at)
    return answered_clock(calendar, quote.price.trading_day, at, data, newest=newest)


async def _write_bars(
    connection: Connection, resources: Resources, grant: Grant, answer: Answer, at: datetime
) -> Written:
    """Bars of sane days are saved; where there is none, it is as if none had come."""
    source, symbol = resources.settings.source, grant.subjects[0]
    sane = [item for item in answer if isinstance(item, Bar) and item.day <= latest_day(symbol, at)]
    if not sane:
        await write_no_answer(connection, resources, grant, at)
        return [], []
    await bars.upsert_bars(connection, source, symbol, sane)
    await _take_back(connection, source, symbol, [item.day for item in sane])
    await bars.upsert_bars_fetched(connection, source, symbol, at)
    log.info("bars_refreshed", call=grant.id, symbol=symbol, rows=len(sane))
    return [], []


async def _take_back(connection: Connection, source: str, symbol: str, days: Sequence[date]) -> None:
    """A bar that an answer over its day does not hold, of a day without a session, was the provider's error. One of a session stays."""
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
    """A listing that shrank by half or more is not taken; the journal has the call, so the next is asked for in an hour."""
    listed = [_readable(item) for item in answer if isinstance(item, Listed)]
    if await listings.replace_listing(connection, resources.settings.source, listed, at):
        log.info("listing_refreshed", call=grant.id, rows=len(listed))
    else:
        log.warning("listing_shrank", call=grant.id, rows=len(listed))
    return [], []


def _readable(row: Row) -> Row:
    """A row whose texts a column can hold."""
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
