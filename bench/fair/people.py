"""What people do in a virtual day, with the calls that the API makes for it: misses, watchlists and counted reads."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial

from bench.virtual import MINUTE, Day
from common.calls.forecasts import look_ahead
from common.core.budget.holds import GATE_REASONS
from common.core.budget.shares import misses_a_minute
from common.core.calendar.closes import answered_clock
from common.core.models import CallClass, Function, Listed
from common.errors import WatchlistFull
from common.store.accounts import watchlists
from common.store.accounts.users import insert_user
from common.store.budget import queue, reports
from common.store.connection.pool import Connection, acquire, transaction
from common.store.market import listings, symbols

MISS_WAIT = timedelta(seconds=12)  # as the setting's default
MAX_STAY = timedelta(days=8)  # as in api/quotes/promises.py

INSERT_QUOTES = """
    INSERT INTO quotes (symbol, source, price, trading_day, fetched_at)
    SELECT unnest($1::text[]), $2, 100, $3, ledger_now()
"""


async def list_symbols(day: Day, listed: Iterable[str]) -> None:
    """The provider's listing, of now."""
    rows = [Listed(symbol, "", "NYSE", "Stock", None) for symbol in listed]
    async with acquire(day.resources.db) as connection:
        await listings.replace_listing(connection, day.resources.settings.source, rows, day.now)


async def open_accounts(day: Day, count: int) -> list[int]:
    """New accounts; their ids."""
    async with acquire(day.resources.db) as connection:
        users = [
            await insert_user(connection, f"user{n}", f"user{n}@example.com", "hash", "scheme")
            for n in range(1, count + 1)
        ]
    return [user.id for user in users]


async def quote(day: Day, wanted: Sequence[str]) -> None:
    """Each has a quote that was fetched just now."""
    settings, calendar = day.resources.settings, day.calendar
    newest = day.trading_day(calendar, day.now)
    clock = answered_clock(calendar, newest, day.now, settings.provider_data)
    async with acquire(day.resources.db) as connection:
        await connection.execute(
            "UPDATE symbols SET source = $2, clock = $3 WHERE symbol = ANY ($1)", wanted, settings.source, clock
        )
        await connection.execute(INSERT_QUOTES, wanted, settings.source, newest)


async def ask_live(
    day: Day, function: Function, subject: str, call_class: CallClass, requester: str, *, tells: bool = True
) -> str:
    """A request for what is not stored yet, which waits for twelve seconds: the queue's verdict, or `unknown`. `tells`: if it was not
    served by then, it gets a `Retry-After` and keeps its place."""
    ask = day.resources.budget
    async with acquire(day.resources.db) as connection:
        if function is Function.QUOTE and await symbols.select_unknown(connection, ask, subject):
            return "unknown"
        verdict = await queue.enqueue(
            connection, ask, function, [subject], call_class, requester=requester, most=misses_a_minute(ask.limits)
        )
        if verdict == "held":
            await _keep_held(day, connection, function, subject)
    if verdict == "joined":
        if tells:
            day.plan(day.now + MISS_WAIT, partial(_keep_pending, day, function, subject))
        day.wake()
    return verdict


async def _keep_held(day: Day, connection: Connection, function: Function, subject: str) -> None:
    """As `Live._refuse_held`: no `Retry-After` while the provider fails."""
    book = await reports.select_ledger(connection, day.resources.budget.account)
    if book["held_until"] is not None and book["held_for"] not in GATE_REASONS:
        left = book["held_until"] - day.now
        if left > MISS_WAIT:
            await queue.update_expiry(connection, function, subject, min(MAX_STAY, left) + queue.QUEUE_TTL)


async def _keep_pending(day: Day, function: Function, subject: str) -> None:
    """As `Live._pending`: a request that was not served gets a `Retry-After`, and keeps its place until then."""
    resources = day.resources
    async with acquire(resources.db) as connection:
        if await queue.select_queued(connection, [(function, subject)]):
            seen = await look_ahead(connection, resources)
            wait = seen.surely.get((function, subject), day.now + MINUTE) - day.now
            urgent = seen.urgent.get((function, subject))
            await queue.update_expiry(
                connection, function, subject, min(MAX_STAY, wait) + queue.QUEUE_TTL, urgent_at=urgent
            )


async def add_to_list(day: Day, user: int, symbol: str, *, known: bool = False) -> None:
    """As POST /api/watchlist. `known`: the API has a quote of it."""
    ask, settings = day.resources.budget, day.resources.settings
    with suppress(WatchlistFull):
        async with transaction(day.resources.db) as connection:
            if not known:
                if await symbols.select_unknown(connection, ask, symbol):
                    return
                most = misses_a_minute(ask.limits)
                await queue.enqueue(
                    connection,
                    ask,
                    Function.QUOTE,
                    [symbol],
                    CallClass.USER,
                    ttl=queue.ADDED_TTL,
                    requester=f"user:{user}",
                    most=most,
                )
            await watchlists.insert_item(connection, user, symbol, most=settings.max_watchlist_size)
    day.wake()


async def clear_list(day: Day, user: int) -> None:
    """As DELETE /api/watchlist/SYMBOL for all of them."""
    async with acquire(day.resources.db) as connection:
        for symbol in await watchlists.select_items(connection, user):
            await watchlists.delete_item(connection, user, symbol)


async def count_reads(day: Day, reads: Mapping[str, int]) -> None:
    """Readers of quotes since the last time, by symbol."""
    async with acquire(day.resources.db) as connection:
        await symbols.update_reads(connection, reads, day.resources.settings.reads_half_life)


async def count_queued(day: Day, call_class: CallClass) -> int:
    """Requests of a class in the line."""
    async with acquire(day.resources.db) as connection:
        return int(await connection.fetchval("SELECT count(*) FROM demand WHERE class = $1", call_class))


async def days_behind(day: Day, wanted: Sequence[str]) -> dict[str, int]:
    """How many closed sessions each symbol's quote lacks."""
    async with acquire(day.resources.db) as connection:
        rows = await connection.fetch("SELECT symbol, trading_day FROM quotes WHERE symbol = ANY ($1)", wanted)
    closed = day.calendar.last_closed(day.now) or 0
    return {row["symbol"]: closed - day.calendar.sessions_until(row["trading_day"]) for row in rows}
