"""The wanted symbols: how much, how old, and what went wrong. Ages are in market-open seconds since the last good response."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from common.core.calendar.clock import Calendar
from common.core.symbols import normalize_symbol, spellings
from common.errors import InvalidRequest, NotFound, UnknownSymbol
from common.market_calendar import open_calendar
from common.operations.ages import Ages, look, measure
from common.operations.audit import record
from common.operations.types import ClassName, Time
from common.process.resources import Resources
from common.store.budget import tracked
from common.store.budget.tracked import View
from common.store.connection.pool import Connection, acquire, transaction
from common.store.market.listings import select_known
from common.store.market.symbols import select_unknown

MAX_SYMBOLS = 1000  # of one report
Only = Literal["all", "stale", "failing", "quarantined", "pinned"]
Sort = Literal["age", "weight", "symbol"]


class SymbolRow(Struct, frozen=True):
    """One wanted symbol. `weight`: watchers and decayed reads, at least 1, or half for what is only pinned; `reads` as they weigh now;
    `kept`: an operator pinned it.

    `age_s`: null without a quote. `target_age_s`: the mean age that the square-root law gives it at the session's pace; null where
    that law does not rule (quarantine, end-of-day data, a quota that leaves nothing). `attempted_at`: the last call that was sent.
    `in_line`: the class in which it is queued or under way, null: not.
    """

    symbol: str
    weight: float
    watchers: int
    reads: float
    pinned: bool
    kept: bool
    price: float | None
    fetched_at: Time | None
    age_s: float | None
    target_age_s: float | None
    attempted_at: Time | None
    failures: int
    quarantined_until: Time | None
    in_line: ClassName | None


class SymbolsReport(Struct, frozen=True):
    """`total`: how many the filter lets through. The figures below it are of all wanted symbols that do not fail.

    `mean_age_s`: read-weighted, of those with a quote; `bound_s`: the least that any order of refreshes reaches at the session's
    pace (common/core/budget/staleness.lower_bound); `age_ratio`: the one over the other. Null where they mean nothing.
    """

    symbols: list[SymbolRow]
    total: int
    mean_age_s: float | None
    bound_s: float | None
    age_ratio: float | None


class SymbolChange(Struct, frozen=True):
    """A symbol after an act. `changed`: false if it was so already; then the audit has no act."""

    symbol: str
    pinned: bool
    kept: bool
    failures: int
    quarantined_until: Time | None
    changed: bool


async def spell(connection: Connection, source: str, symbols: Sequence[str]) -> list[str]:
    """Each as the provider's listing spells it, in their order; raise `InvalidSymbol`."""
    known = await select_known(connection, source, [spelling for text in symbols for spelling in spellings(text)])
    return [normalize_symbol(text, known) for text in symbols]


async def report_symbols(
    resources: Resources, *, only: Only = "all", sort: Sort = "age", most: int = 100, offset: int = 0
) -> SymbolsReport:
    """At most `most` (1 to 1000) wanted symbols from `offset` on: by `age` the oldest first (without a quote before all), by `weight`
    the heaviest first.

    `stale`: past their TTL or without a quote; `failing`: their last call brought nothing; `quarantined`: and they rest for it now.
    """
    async with acquire(resources.db) as connection:
        view = await look(connection, resources)
        ages = await measure(connection, resources, view, only=only)
        rows = await tracked.select_wanted(connection, view, only=only, sort=sort, most=most, offset=offset)
    calendar = open_calendar(resources.settings.market_hours, view.now)
    symbols = [_row(row, ages, view, calendar) for row in rows]
    return SymbolsReport(symbols, ages.totals.matching, ages.mean, ages.bound, ages.ratio)


async def end_quarantine(resources: Resources, symbol: str, *, by: str, request_id: str | None = None) -> SymbolChange:
    """Forget its failures: it is refreshed like the others again. Raise `InvalidSymbol`, or `NotFound` if it does not fail."""
    account = resources.budget.account
    async with transaction(resources.db) as connection:
        (name,) = await spell(connection, resources.settings.source, [symbol])
        if not await tracked.update_forgiven(connection, account, name):
            raise NotFound(f"{name} does not fail; expected one of those that fail")
        await record(connection, "quarantine_ended", by=by, subject=name, request_id=request_id)
        return await _standing(connection, account, name, changed=True)


async def pin(resources: Resources, symbol: str, *, by: str, request_id: str | None = None) -> SymbolChange:
    """Track it though nobody watches or reads it. Raise `InvalidSymbol`, or `UnknownSymbol` if the provider does not have it."""
    account = resources.budget.account
    async with transaction(resources.db) as connection:
        (name,) = await spell(connection, resources.settings.source, [symbol])
        if await select_unknown(connection, resources.budget, name):
            raise UnknownSymbol(f"the provider does not have {name}; ask again after an hour if it should")
        changed = await tracked.upsert_kept(connection, name)
        if changed:
            await record(connection, "symbol_pinned", by=by, subject=name, request_id=request_id)
        return await _standing(connection, account, name, changed=changed)


async def unpin(resources: Resources, symbol: str, *, by: str, request_id: str | None = None) -> SymbolChange:
    """Track it only as far as its watchers and readers do.

    Raise `InvalidSymbol`, `NotFound` if it is not pinned, or `InvalidRequest` for one of OVERVIEW_SYMBOLS, which are always pinned.
    """
    account = resources.budget.account
    async with transaction(resources.db) as connection:
        (name,) = await spell(connection, resources.settings.source, [symbol])
        if name in resources.settings.overview_symbols:
            raise InvalidRequest(
                f"{name} is one of OVERVIEW_SYMBOLS, which are always pinned; take it out of that setting first"
            )
        if not await tracked.update_unpinned(connection, name):
            raise NotFound(f"{name} is not pinned; expected one of those that only=pinned lists")
        await record(connection, "symbol_unpinned", by=by, subject=name, request_id=request_id)
        return await _standing(connection, account, name, changed=True)


async def _standing(connection: Connection, account: str, symbol: str, *, changed: bool) -> SymbolChange:
    standing = await tracked.select_standing(connection, account, symbol)
    if standing is None:
        raise NotFound(f"{symbol} was forgotten meanwhile; ask again")
    return SymbolChange(**standing, changed=changed)


def _row(row: Mapping[str, Any], ages: Ages, view: View, calendar: Calendar) -> SymbolRow:
    """Ages by the same clock as the sums', for the few that are shown."""
    fetched, rests = row["fetched_at"], row["quarantined_until"] is not None
    price = None if row["price"] is None else float(row["price"])
    return SymbolRow(
        **{**row, "price": price},
        age_s=None if fetched is None else max(0.0, view.marks.clock - calendar.clock(fetched)),
        target_age_s=None if rests else ages.sums.target(row["weight"], ages.per_minute),
    )
