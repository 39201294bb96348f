"""The wanted symbols as operators see them: exact ages, the formulas' targets, filters, and what can be done about one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from common.core.budget.policy import Policy
from common.core.budget.staleness import lower_bound, mean_age, session_rate
from common.core.limits import parse_limits
from common.core.models import CallClass, Function, Price, Quote
from common.errors import InvalidRequest, InvalidSymbol, NotFound, UnknownSymbol
from common.operations.symbols import SymbolsReport, end_quarantine, pin, report_symbols, unpin
from common.process.resources import Resources
from common.store.budget import gate, ledger
from common.store.budget.queue import enqueue
from common.store.connection.pool import acquire
from common.store.market.quotes import upsert_quote
from common.store.market.symbols import select_unknown, update_quoted, update_reads, upsert_pins
from tests.operations.conftest import BY, acts, execute, serve
from tests.store.conftest import Clock

LIMITS = parse_limits("5/1min", "limits")
MONDAY = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)  # half an hour after the open
FRIDAYS_CLOSE = datetime(2026, 2, 27, 21, 0, tzinfo=UTC)


@pytest.fixture
def slow(process: Resources) -> Resources:
    """Five a minute, the market always open."""
    settings = replace(process.settings, limits=LIMITS)
    return replace(process, settings=settings, policy=Policy(LIMITS, "realtime", 0.2))


@pytest.fixture
def nyse(slow: Resources, clock: Clock) -> Resources:
    """The same while the NYSE is open."""
    clock.set(MONDAY)
    return replace(slow, settings=replace(slow.settings, market_hours="nyse"))


async def want(process: Resources, **watchers: int) -> None:
    for symbol, count in watchers.items():
        await execute(process, "INSERT INTO symbols (symbol, watchers) VALUES ($1, $2)", symbol, count)


async def quote(process: Resources, symbol: str, at: datetime, *, source: str = "simulated") -> None:
    async with acquire(process.db) as connection:
        await upsert_quote(connection, Quote(Price(symbol, Decimal("12.50"), at.date()), source, at))


async def fail(process: Resources, symbol: str, *, rests: timedelta) -> None:
    """A failure of a symbol that rests so long from now on."""
    statement = """
        INSERT INTO attempts (account, symbol, at, failures, quarantined_until)
        VALUES ($2, $1, ledger_now(), 2, ledger_now() + $3::interval)
        ON CONFLICT (account, symbol) DO UPDATE SET failures = 2, quarantined_until = excluded.quarantined_until
    """
    await execute(process, "INSERT INTO symbols (symbol, watchers) VALUES ($1, 4) ON CONFLICT DO NOTHING", symbol)
    await execute(process, statement, symbol, process.budget.account, rests)


def names(report: SymbolsReport) -> list[str]:
    return [row.symbol for row in report.symbols]


async def test_a_symbol_is_told_with_all_that_is_known_of_it(slow: Resources, clock: Clock) -> None:
    await want(slow, IBM=3)
    async with acquire(slow.db) as connection:
        await enqueue(connection, slow.budget, Function.QUOTE, ["IBM"], CallClass.OPERATOR)
    await serve(slow)
    async with acquire(slow.db) as connection:
        await update_reads(connection, {"IBM": 8}, timedelta(hours=24))
        await enqueue(connection, slow.budget, Function.QUOTE, ["IBM"], CallClass.OPERATOR, ttl=timedelta(days=2))
    fetched = clock.now
    clock.pass_(timedelta(hours=24))
    report = await report_symbols(slow)
    [row] = report.symbols

    assert ("IBM", 3) == (row.symbol, row.watchers)
    assert [4, 7] == pytest.approx([row.reads, row.weight])
    assert (fetched, 86400.0, 6.0) == (row.fetched_at, row.age_s, row.target_age_s)
    assert (fetched, 0, None, "operator") == (row.attempted_at, row.failures, row.quarantined_until, row.in_line)
    assert (False, False, 1) == (row.pinned, row.kept, report.total)
    assert isinstance(row.price, float)


async def test_ages_are_compared_with_the_formulas_bound(slow: Resources, clock: Clock) -> None:
    await want(slow, A=16, B=9, C=4, D=1)
    for symbol, age in (("A", 10), ("B", 20), ("C", 30)):
        await quote(slow, symbol, clock.now - timedelta(seconds=age))
    report = await report_symbols(slow)

    bound = 60 * lower_bound([16, 9, 4, 1], 5)
    mean = (16 * 10 + 9 * 20 + 4 * 30) / 29
    assert pytest.approx(mean) == report.mean_age_s
    assert pytest.approx(bound) == report.bound_s
    assert pytest.approx(mean / bound) == report.age_ratio
    targets = {row.symbol: row.target_age_s for row in report.symbols}
    assert {"A": 15.0, "B": 20.0, "C": 30.0, "D": 60.0} == pytest.approx(targets)
    assert pytest.approx(60 * mean_age(4, [16, 9, 4, 1], 5)) == targets["C"]


async def test_ages_count_while_the_market_is_open(nyse: Resources) -> None:
    await want(nyse, A=1, B=1, C=1, D=1)
    half_an_hour, one = timedelta(minutes=30), timedelta(minutes=1)
    await quote(nyse, "A", MONDAY - one)
    await quote(nyse, "B", FRIDAYS_CLOSE + half_an_hour)
    await quote(nyse, "C", FRIDAYS_CLOSE - one)
    await quote(nyse, "D", datetime(2023, 1, 1, tzinfo=UTC))  # before every session that is looked at
    report = await report_symbols(nyse, sort="symbol")
    first, second, third, fourth = (row.age_s for row in report.symbols)

    assert (60.0, 1800.0, 1860.0) == (first, second, third)
    assert fourth is not None
    assert fourth > 500 * 6 * 3600
    assert pytest.approx((60 + 1800 + 1860) / 3) == (await report_without(nyse, "D")).mean_age_s


async def report_without(process: Resources, symbol: str) -> SymbolsReport:
    await execute(process, "DELETE FROM symbols WHERE symbol = $1", symbol)
    return await report_symbols(process)


async def test_failing_symbols_are_in_no_mean_and_in_no_bound(slow: Resources, clock: Clock) -> None:
    await want(slow, A=16, B=9)
    await quote(slow, "A", clock.now - timedelta(seconds=10))
    await quote(slow, "B", clock.now - timedelta(seconds=9999))
    await fail(slow, "B", rests=timedelta(hours=1))
    report = await report_symbols(slow)
    [target] = [row.target_age_s for row in report.symbols if row.symbol == "B"]

    assert (10.0, 6.0, None) == (report.mean_age_s, report.bound_s, target)


async def test_attempts_of_another_key_are_none(slow: Resources) -> None:
    await fail(slow, "B", rests=timedelta(hours=1))
    other = replace(slow, budget=replace(slow.budget, account="another"))
    [row] = (await report_symbols(other)).symbols

    assert (0, None, None) == (row.failures, row.quarantined_until, row.attempted_at)
    assert [] == names(await report_symbols(other, only="failing"))
    with pytest.raises(NotFound):
        await end_quarantine(other, "B", by=BY)


async def test_a_quote_of_another_source_is_none(slow: Resources, clock: Clock) -> None:
    await want(slow, A=1)
    await quote(slow, "A", clock.now, source="alphavantage")
    [row] = (await report_symbols(slow)).symbols

    assert (None, None, None) == (row.price, row.fetched_at, row.age_s)


async def test_without_a_wanted_symbol_there_are_no_figures(slow: Resources) -> None:
    assert SymbolsReport([], 0, None, None, None) == await report_symbols(slow)


async def test_a_days_quota_and_end_of_day_prices_change_the_bound(nyse: Resources) -> None:
    await want(nyse, A=1)
    limits = parse_limits("5/1min,25/1d", "limits")
    policy = Policy(limits, "realtime", 0.2)
    quota = replace(nyse, settings=replace(nyse.settings, limits=limits), policy=policy)
    daily = replace(quota, settings=replace(quota.settings, provider_data="end_of_day"))
    always = replace(quota, settings=replace(quota.settings, market_hours="always"))

    assert pytest.approx(60 * lower_bound([1], session_rate(limits, 1, 0.2))) == (await report_symbols(quota)).bound_s
    assert (await report_symbols(daily)).bound_s is None
    assert pytest.approx(60 * lower_bound([1], 25 * 0.8 / 1440)) == (await report_symbols(always)).bound_s


async def test_bulk_calls_divide_the_bound_by_what_there_is_to_fetch_until_they_are_denied(slow: Resources) -> None:
    await want(slow, A=1, B=1, C=1)
    bulky = replace(slow, budget=replace(slow.budget, bulk=True))
    before = (await report_symbols(bulky)).bound_s
    async with acquire(slow.db) as connection:
        await connection.execute("INSERT INTO ledgers (account) VALUES ($1)", slow.budget.account)
        until = await ledger.select_now(connection) + timedelta(hours=1)
        await gate.update_bulk_denied(connection, slow.budget.account, until)

    assert (6.0, 18.0) == (before, (await report_symbols(bulky)).bound_s)


async def stage(process: Resources, clock: Clock) -> None:
    """OLD and NEW have quotes, NONE has none, REST and TRIED fail, PIN is pinned, nobody wants OTHER, READ is only read."""
    await want(process, OLD=5, NEW=2, NONE=1, OTHER=0)
    await quote(process, "OLD", clock.now - timedelta(hours=1))
    await quote(process, "NEW", clock.now - timedelta(seconds=1))
    await quote(process, "PIN", clock.now - timedelta(seconds=2))
    await fail(process, "REST", rests=timedelta(hours=1))
    await fail(process, "TRIED", rests=timedelta(seconds=-1))
    async with acquire(process.db) as connection:
        await upsert_pins(connection, ["PIN"])
        await update_reads(connection, {"READ": 3}, timedelta(hours=24))


@pytest.mark.parametrize(
    ("only", "found"),
    [
        ("all", ["NEW", "NONE", "OLD", "PIN", "READ", "REST", "TRIED"]),
        ("stale", ["NONE", "OLD", "READ", "REST", "TRIED"]),
        ("failing", ["REST", "TRIED"]),
        ("quarantined", ["REST"]),
        ("pinned", ["PIN"]),
    ],
)
async def test_symbols_are_filtered_and_counted(slow: Resources, clock: Clock, only: str, found: list[str]) -> None:
    await stage(slow, clock)
    report = await report_symbols(slow, only=only, sort="symbol")  # type: ignore[arg-type]
    cut = await report_symbols(slow, only=only, sort="symbol", most=1)  # type: ignore[arg-type]

    assert (found, len(found)) == (names(report), report.total)
    assert (found[:1], len(found)) == (names(cut), cut.total)


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("age", ["NONE", "READ", "REST", "TRIED", "OLD", "PIN", "NEW"]),
        ("weight", ["OLD", "REST", "TRIED", "READ", "NEW", "NONE", "PIN"]),
        ("symbol", ["NEW", "NONE", "OLD", "PIN", "READ", "REST", "TRIED"]),
    ],
)
async def test_symbols_are_sorted_and_read_page_by_page(
    slow: Resources, clock: Clock, sort: str, found: list[str]
) -> None:
    await stage(slow, clock)
    pages = [await report_symbols(slow, sort=sort, most=3, offset=offset) for offset in (0, 3, 6)]  # type: ignore[arg-type]

    assert [found[:3], found[3:6], found[6:]] == [names(page) for page in pages]


async def test_stale_with_the_nyse_is_what_is_stale_to_readers(nyse: Resources, clock: Clock) -> None:
    await want(nyse, A=1, B=1)
    await quote(nyse, "A", FRIDAYS_CLOSE + timedelta(minutes=6))  # the final close: fresh until the open
    await quote(nyse, "B", FRIDAYS_CLOSE - timedelta(seconds=1))
    clock.set(FRIDAYS_CLOSE + timedelta(hours=20))
    weekend = names(await report_symbols(nyse, only="stale"))
    clock.set(MONDAY)

    assert (["B"], ["B", "A"]) == (weekend, names(await report_symbols(nyse, only="stale")))


async def test_a_quarantine_is_ended(slow: Resources) -> None:
    await fail(slow, "IBM", rests=timedelta(hours=1))
    async with acquire(slow.db) as connection:
        unknown_before = await select_unknown(connection, slow.budget, "IBM")
    change = await end_quarantine(slow, "ibm", by=BY, request_id="r1")
    async with acquire(slow.db) as connection:
        unknown = await select_unknown(connection, slow.budget, "IBM")

    assert ("IBM", 0, None, True) == (change.symbol, change.failures, change.quarantined_until, change.changed)
    assert (True, False) == (unknown_before, unknown)
    assert [("quarantine_ended", BY, "IBM")] == await acts(slow)


async def test_what_does_not_fail_cannot_be_released(slow: Resources) -> None:
    await want(slow, IBM=1)

    for symbol in ("IBM", "NEVER"):
        with pytest.raises(NotFound, match=f"{symbol} does not fail; expected"):
            await end_quarantine(slow, symbol, by=BY)
    assert [] == await acts(slow)


async def test_a_pinned_symbol_is_wanted_until_it_is_unpinned(slow: Resources) -> None:
    pinned = await pin(slow, "brk.b", by=BY)
    async with acquire(slow.db) as connection:
        await upsert_pins(connection, slow.settings.overview_symbols)  # as each tick does
    wanted = names(await report_symbols(slow, only="pinned", sort="symbol"))
    unpinned = await unpin(slow, "BRK-B", by=BY)

    assert ("BRK-B", True, True, True) == (pinned.symbol, pinned.pinned, pinned.kept, pinned.changed)
    assert "BRK-B" in wanted
    assert (False, False, True) == (unpinned.pinned, unpinned.kept, unpinned.changed)
    assert "BRK-B" not in names(await report_symbols(slow))
    assert [("symbol_pinned", BY, "BRK-B"), ("symbol_unpinned", BY, "BRK-B")] == await acts(slow)


async def test_a_pin_that_is_there_changes_nothing(slow: Resources) -> None:
    await pin(slow, "IBM", by=BY)

    assert not (await pin(slow, "IBM", by=BY)).changed
    assert 1 == len(await acts(slow))


async def test_an_overviews_symbol_can_be_kept_and_not_unpinned(slow: Resources) -> None:
    async with acquire(slow.db) as connection:
        await upsert_pins(connection, slow.settings.overview_symbols)
    change = await pin(slow, "AAPL", by=BY)

    assert (True, True) == (change.kept, change.changed)
    with pytest.raises(InvalidRequest, match="AAPL is one of OVERVIEW_SYMBOLS, which are always pinned; take it out"):
        await unpin(slow, "aapl", by=BY)


async def test_what_is_not_pinned_cannot_be_unpinned(slow: Resources) -> None:
    await want(slow, IBM=1)

    for symbol in ("IBM", "NEVER"):
        with pytest.raises(NotFound, match=f"{symbol} is not pinned; expected"):
            await unpin(slow, symbol, by=BY)


async def test_what_the_provider_does_not_have_is_not_pinned(slow: Resources) -> None:
    await fail(slow, "NOSUCH", rests=timedelta(hours=1))

    with pytest.raises(UnknownSymbol, match="the provider does not have NOSUCH; ask again"):
        await pin(slow, "NOSUCH", by=BY)


async def test_a_halted_symbol_that_once_had_a_quote_may_be_pinned(slow: Resources) -> None:
    await fail(slow, "HALT", rests=timedelta(hours=1))
    async with acquire(slow.db) as connection:
        await update_quoted(connection, slow.budget, {"HALT": 0.0})
    await fail(slow, "HALT", rests=timedelta(hours=1))

    assert (await pin(slow, "HALT", by=BY)).changed


@pytest.mark.parametrize("act", [pin, unpin, end_quarantine])
async def test_what_cannot_be_a_symbol_is_refused(slow: Resources, act: object) -> None:
    with pytest.raises(InvalidSymbol):
        await act(slow, "A B", by=BY)  # type: ignore[operator]
