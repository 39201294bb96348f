"""What a settled call leaves in the tables, for each function: from the queue through the simulator to the stores."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import aiohttp
import pytest

from common.calls import permits, work
from common.calls.settle import settle
from common.core.calendar.trading_day import NEW_YORK
from common.core.limits import LEASE, parse_limits
from common.core.models import Bar, CallClass, Function, Listed, Match, Price
from common.core.provider.outcomes import FIRST_QUARANTINE, Outcome
from common.core.search.ranking import build_index
from common.process.resources import Resources
from common.provider import Permit
from common.store.budget import ledger
from common.store.budget import queue as rows
from common.store.budget.ledger import Grant, Wait
from common.store.connection.pool import acquire
from common.store.market import bars, listings, quotes, searches, symbols

SOURCE = "simulated"
EACH = [(Function.QUOTE, "AAPL"), (Function.DAILY, "AAPL"), (Function.SEARCH, "TESCO"), (Function.LISTING, "US")]
ALL_BUT_QUOTES = EACH[1:]


async def permit_for(resources: Resources, function: Function, subject: str, call_class: CallClass) -> Permit:
    async with acquire(resources.db) as connection:
        told = await rows.enqueue(connection, resources.budget, function, [subject], call_class)
    assert "joined" == told
    permit = await permits.obtain_permit(resources)
    assert isinstance(permit, Permit)
    assert (function, (subject,)) == (permit.grant.function, permit.grant.subjects)
    return permit


async def serve(
    resources: Resources, function: Function, subject: str, *, call_class: CallClass = CallClass.USER
) -> Outcome:
    """Enqueue a request, obtain a permit, make the call."""
    return await work.carry_out(resources, await permit_for(resources, function, subject, call_class))


async def end(resources: Resources, function: Function, subject: str, outcome: Outcome) -> Grant:
    """A call that ends so, without a provider."""
    permit = await permit_for(resources, function, subject, CallClass.USER)
    await settle(resources, permit.grant, outcome, ())
    return permit.grant


async def break_provider(resources: Resources, kind: str) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.put(f"{resources.provider.base_url}/_fault", json={"kind": kind}) as answer,
    ):
        assert 200 == answer.status


def bar(day: date) -> Bar:
    return Bar(day, Decimal(10), Decimal(11), Decimal(9), Decimal(10), None)


async def count(resources: Resources, statement: str) -> int:
    async with acquire(resources.db) as connection:
        found: int = await connection.fetchval(statement)
        return found


async def test_a_price_that_is_settled_late_does_not_win_over_one_that_was_asked_for_later(
    resources: Resources,
) -> None:
    """A store was down for longer than the lease, so a newer call for the symbol may have been granted."""
    late = await permit_for(resources, Function.QUOTE, "AAPL", CallClass.USER)
    async with acquire(resources.db) as connection:
        moved = (
            "UPDATE calls SET granted_at = granted_at - $2::interval, ends_at = ends_at - $2::interval WHERE id = $1"
        )
        await connection.execute(moved, late.grant.id, LEASE)
        await connection.execute("UPDATE demand SET taken_until = taken_until - $1::interval", LEASE)
    long_ago = replace(late.grant, granted_at=late.grant.granted_at - LEASE)
    assert Outcome.OK == await serve(resources, Function.QUOTE, "AAPL")
    await settle(resources, long_ago, Outcome.OK, (Price("AAPL", Decimal(1), date(2026, 11, 20)),))

    async with acquire(resources.db) as connection:
        [kept] = await quotes.select_quotes(connection, SOURCE, ["AAPL"])
    assert Decimal(1) != kept.price.price


@pytest.mark.parametrize(("function", "subject"), EACH)
async def test_a_good_answer_serves_the_demand_and_opens_the_gate(
    resources: Resources, function: Function, subject: str
) -> None:
    permit = await permit_for(resources, function, subject, CallClass.USER)
    async with acquire(resources.db) as connection:
        later = await ledger.select_now(connection) + timedelta(hours=1)
        await connection.execute(
            "UPDATE ledgers SET probing = true, held_for = 'day_used_up', held_until = $1, failures = 4, closed_at = $1",
            later,
        )

    assert Outcome.OK == await work.carry_out(resources, permit)

    async with acquire(resources.db) as connection:
        assert 0 == await connection.fetchval("SELECT count(*) FROM demand")
        assert "ok" == await connection.fetchval("SELECT outcome FROM calls")
        [gate] = await connection.fetch("SELECT held_until, held_for, probing, failures, closed_at FROM ledgers")
    assert (None, None, False, 0, None) == tuple(gate)


async def test_a_quote_is_saved_and_its_symbol_is_known(resources: Resources) -> None:
    await serve(resources, Function.QUOTE, "AAPL")

    async with acquire(resources.db) as connection:
        [saved] = await quotes.select_quotes(connection, SOURCE, ["AAPL"])
        [collected] = await bars.select_history(connection, SOURCE, "AAPL", most=10)
        assert SOURCE == await connection.fetchval("SELECT source FROM symbols WHERE symbol = 'AAPL'")
    assert (saved.fetched_at, saved.price.price) == (collected.fetched_at, collected.price)


async def test_daily_bars_are_saved_with_the_time_of_the_response(resources: Resources) -> None:
    await serve(resources, Function.DAILY, "AAPL")

    async with acquire(resources.db) as connection:
        saved = await bars.select_bars(connection, SOURCE, "AAPL", most=1000)
        assert await connection.fetchval("SELECT ends_at FROM calls") == await bars.select_bars_fetched(
            connection, SOURCE, "AAPL"
        )
        assert not await bars.select_bars_refused(connection, SOURCE, "AAPL")
    assert 100 == len(saved)
    assert saved == sorted(saved, key=lambda one: one.day)


async def test_bars_of_days_to_come_are_not_believed(resources: Resources) -> None:
    permit = await permit_for(resources, Function.DAILY, "AAPL", CallClass.USER)
    today = datetime.now(NEW_YORK).date()
    one = bar(today)

    await settle(resources, permit.grant, Outcome.OK, (one, replace(one, day=date(9999, 1, 1))))

    async with acquire(resources.db) as connection:
        assert [one] == await bars.select_bars(connection, SOURCE, "AAPL", most=10)


async def test_a_search_is_saved_best_match_first(resources: Resources) -> None:
    await serve(resources, Function.SEARCH, "TESCO")

    async with acquire(resources.db) as connection:
        found = await searches.select_search(connection, SOURCE, "TESCO")
        at = await connection.fetchval("SELECT ends_at FROM calls")
    assert found is not None
    assert ("TSCO.LON", "United Kingdom", at) == (found.matches[0].symbol, found.matches[0].region, found.found_at)


async def test_a_search_that_finds_nothing_is_saved_too(resources: Resources) -> None:
    assert Outcome.OK == await serve(resources, Function.SEARCH, "NOTHING LIKE IT")

    async with acquire(resources.db) as connection:
        found = await searches.select_search(connection, SOURCE, "NOTHING LIKE IT")
    assert found is not None
    assert () == found.matches


async def test_what_no_column_can_hold_is_left_out_of_a_text(resources: Resources) -> None:
    match = Match("A", "Nul\0 and half a pair\ud800", "Equity", "United States", "USD", Decimal(1))
    search = await permit_for(resources, Function.SEARCH, "ODD", CallClass.USER)
    await settle(resources, search.grant, Outcome.OK, (match,))
    listing = await permit_for(resources, Function.LISTING, listings.SUBJECT, CallClass.REFRESH)
    await settle(resources, listing.grant, Outcome.OK, (Listed("A", "A\0\0 name\x1b", "NYSE", "Stock", None),))

    async with acquire(resources.db) as connection:
        found = await searches.select_search(connection, SOURCE, "ODD")
        [listed] = await listings.select_listing(connection, SOURCE)
    assert found is not None
    assert (replace(match, name="Nul and half a pair"),) == found.matches
    assert "A name" == listed.name


async def test_the_listing_is_saved_and_can_be_searched(resources: Resources) -> None:
    await serve(resources, Function.LISTING, listings.SUBJECT, call_class=CallClass.REFRESH)

    async with acquire(resources.db) as connection:
        listed = await listings.select_listing(connection, SOURCE)
        state = await listings.select_listing_state(connection, SOURCE)
        assert not await listings.select_listing_due(connection, resources.budget.account, SOURCE)
    assert state is not None
    assert len(listed) == state.rows
    assert "AAPL" == build_index(listed).find("apple")[0].symbol


async def test_a_listing_that_shrank_by_half_leaves_the_old_one_and_an_hours_rest(resources: Resources) -> None:
    old = [Listed(f"S{number}", "", "NYSE", "Stock", None) for number in range(2_000)]
    async with acquire(resources.db) as connection:
        await listings.replace_listing(connection, SOURCE, old, await ledger.select_now(connection) - timedelta(days=8))

    await serve(resources, Function.LISTING, listings.SUBJECT, call_class=CallClass.REFRESH)

    async with acquire(resources.db) as connection:
        assert 2_000 == len(await listings.select_listing(connection, SOURCE))
        assert not await listings.select_listing_due(connection, resources.budget.account, SOURCE)
        await connection.execute("UPDATE calls SET granted_at = granted_at - interval '1 hour'")
        assert await listings.select_listing_due(connection, resources.budget.account, SOURCE)


@pytest.mark.parametrize("fault", ["http_503", "garbage", "notice:throttled_second"])
async def test_a_listing_that_failed_leaves_the_line_and_the_old_one_stays(resources: Resources, fault: str) -> None:
    old = [Listed("A", "Agilent", "NYSE", "Stock", None)]
    async with acquire(resources.db) as connection:
        await listings.replace_listing(connection, SOURCE, old, await ledger.select_now(connection) - timedelta(days=8))
    await break_provider(resources, fault)

    assert Outcome.OK != await serve(resources, Function.LISTING, listings.SUBJECT, call_class=CallClass.REFRESH)

    async with acquire(resources.db) as connection:
        assert old == await listings.select_listing(connection, SOURCE)
        assert 0 == await connection.fetchval("SELECT count(*) FROM demand")
        assert not await listings.select_listing_due(connection, resources.budget.account, SOURCE)


async def test_a_chart_of_an_unknown_symbol_is_remembered_and_blames_no_quote(resources: Resources) -> None:
    await serve(resources, Function.QUOTE, "AAPL")
    async with acquire(resources.db) as connection:
        await symbols.upsert_pins(connection, ["NOSUCH"])

    assert Outcome.BAD_REQUEST == await serve(resources, Function.DAILY, "NOSUCH")

    async with acquire(resources.db) as connection:
        assert await bars.select_bars_refused(connection, SOURCE, "NOSUCH")
        assert [] == await bars.select_bars(connection, SOURCE, "NOSUCH", most=10)
        assert await bars.select_bars_fetched(connection, SOURCE, "NOSUCH") is None
        assert 0 == await connection.fetchval("SELECT count(*) FROM demand")
        assert 0 == await connection.fetchval("SELECT count(*) FROM attempts WHERE symbol = 'NOSUCH'")


async def test_a_quote_of_an_unknown_symbol_is_the_symbols_failure(resources: Resources) -> None:
    assert Outcome.NO_DATA == await serve(resources, Function.QUOTE, "NOSUCH")

    assert 1 == await count(resources, "SELECT failures FROM attempts WHERE symbol = 'NOSUCH'")


@pytest.mark.parametrize(
    ("failures", "minutes"),
    [(1, 5), (2, 10), (3, 20), (4, 40), (8, 640), (9, 1280), (10, 1440), (11, 1440), (1000, 1440), (10**9, 1440)],
)
async def test_a_symbol_rests_twice_as_long_after_each_failure_up_to_a_day(
    resources: Resources, failures: int, minutes: int
) -> None:
    account = resources.budget.account
    async with acquire(resources.db) as connection:
        at = await ledger.select_now(connection)
        await symbols.upsert_pins(connection, ["NOSUCH"])
        if failures > 1:
            await symbols.upsert_failed(connection, account, ["NOSUCH"], at, FIRST_QUARANTINE)
            await connection.execute("UPDATE attempts SET failures = $1", failures - 1)
        await symbols.upsert_failed(connection, account, ["NOSUCH"], at, FIRST_QUARANTINE)
        found = await connection.fetchrow("SELECT failures, quarantined_until FROM attempts")

    assert (failures, at + timedelta(minutes=minutes)) == tuple(found)


@pytest.mark.parametrize("outcome", [Outcome.NO_DATA, Outcome.BAD_REQUEST])
@pytest.mark.parametrize(("function", "subject"), ALL_BUT_QUOTES)
async def test_only_a_quote_can_be_a_symbols_failure(
    resources: Resources, function: Function, subject: str, outcome: Outcome
) -> None:
    async with acquire(resources.db) as connection:
        await symbols.upsert_pins(connection, [subject])

    await end(resources, function, subject, outcome)

    assert 0 == await count(resources, "SELECT count(*) FROM attempts WHERE failures > 0")
    assert 0 == await count(resources, "SELECT count(*) FROM demand")


async def test_a_refused_chart_and_search_leave_what_was_there(resources: Resources) -> None:
    await serve(resources, Function.DAILY, "AAPL")
    await serve(resources, Function.SEARCH, "TESCO")
    await break_provider(resources, "empty_object")

    assert Outcome.NO_DATA == await serve(resources, Function.DAILY, "AAPL")
    assert Outcome.NO_DATA == await serve(resources, Function.SEARCH, "TESCO")

    async with acquire(resources.db) as connection:
        assert 100 == len(await bars.select_bars(connection, SOURCE, "AAPL", most=1000))
        found = await searches.select_search(connection, SOURCE, "TESCO")
    assert found is not None
    assert "TSCO.LON" == found.matches[0].symbol


@pytest.mark.parametrize(("function", "subject"), [(Function.DAILY, "AAPL"), (Function.SEARCH, "TESCO")])
async def test_who_waits_while_the_provider_is_away_stands_in_the_line_again(
    resources: Resources, function: Function, subject: str
) -> None:
    await break_provider(resources, "http_503")

    assert Outcome.UNAVAILABLE == await serve(resources, function, subject)

    assert 1 == await count(resources, "SELECT count(*) FROM demand WHERE call IS NULL AND ready_at > ledger_now()")
    assert 0 == await count(resources, "SELECT count(*) FROM bars_state")
    assert 0 == await count(resources, "SELECT count(*) FROM searches")


async def test_a_call_is_settled_once(resources: Resources) -> None:
    grant = await end(resources, Function.DAILY, "AAPL", Outcome.NO_DATA)
    one = bar(date(2026, 3, 2))

    await settle(resources, grant, Outcome.OK, (one,))

    assert 0 == await count(resources, "SELECT count(*) FROM daily_bars")


@pytest.mark.parametrize(
    "refused", [Price("AAPL", Decimal(-1), date(2026, 3, 2)), Price("AAPL", Decimal(1), date(2026, 3, 2), volume=2**63)]
)
async def test_an_answer_that_the_database_refuses_ends_the_call_as_one_without_data(
    resources: Resources, refused: Price
) -> None:
    permit = await permit_for(resources, Function.QUOTE, "AAPL", CallClass.USER)

    await settle(resources, permit.grant, Outcome.OK, (refused,))

    async with acquire(resources.db) as connection:
        assert "no_data" == await connection.fetchval("SELECT outcome FROM calls")
        assert 1 == await connection.fetchval("SELECT failures FROM attempts WHERE symbol = 'AAPL'")
        assert 0 == await connection.fetchval("SELECT count(*) FROM demand")
        assert [] == await quotes.select_quotes(connection, SOURCE, ["AAPL"])


async def failing(resources: Resources) -> list[str]:
    async with acquire(resources.db) as connection:
        return [
            row["symbol"] for row in await connection.fetch("SELECT symbol FROM attempts WHERE failures > 0 ORDER BY 1")
        ]


async def test_where_all_symbols_lack_data_the_provider_is_blamed_and_none_of_them_rests(resources: Resources) -> None:
    """Two of them had quotes: they did exist."""
    names = [f"S{number}" for number in range(5)]
    async with acquire(resources.db) as connection:
        await connection.execute("INSERT INTO symbols (symbol, source) VALUES ('S0', $1), ('S1', $1)", SOURCE)
    for name in names[:4]:
        await end(resources, Function.QUOTE, name, Outcome.NO_DATA)
    before = await failing(resources)
    await end(resources, Function.QUOTE, names[4], Outcome.NO_DATA)

    assert (names[:4], []) == (before, await failing(resources))
    assert 1 == await count(resources, "SELECT count(*) FROM demand WHERE subject = 'S4'")
    assert 1 == await count(resources, "SELECT failures FROM ledgers")


async def test_unknown_symbols_alone_blame_nobody_but_themselves(resources: Resources) -> None:
    names = [f"S{number}" for number in range(6)]
    for name in names:
        await end(resources, Function.QUOTE, name, Outcome.NO_DATA)

    assert names == await failing(resources)


@pytest.mark.parametrize(("limits", "calls"), [("1000/1min", 3), ("1000/1min,100/1d", 3), ("1000/1min,99/1d", 2)])
async def test_calls_in_a_row_without_an_answer_close_the_gate(resources: Resources, limits: str, calls: int) -> None:
    few = replace(resources, budget=replace(resources.budget, limits=parse_limits(limits, "limits")))
    for number in range(calls):
        assert 0 == await count(few, "SELECT count(*) FROM ledgers WHERE held_until IS NOT NULL")
        await end(few, Function.QUOTE, f"S{number}", Outcome.UNAVAILABLE)

    async with acquire(few.db) as connection:
        assert ("provider_down", True) == tuple(await connection.fetchrow("SELECT held_for, probing FROM ledgers"))
    told = await permits.obtain_permit(few)
    assert isinstance(told, Wait)
    assert "provider_down" == told.reason


async def test_an_answer_in_between_begins_the_count_anew(resources: Resources) -> None:
    for number, outcome in enumerate([Outcome.UNAVAILABLE] * 2 + [Outcome.NO_DATA] + [Outcome.UNAVAILABLE] * 2):
        await end(resources, Function.QUOTE, f"S{number}", outcome)

    assert 0 == await count(resources, "SELECT count(*) FROM ledgers WHERE held_until IS NOT NULL")
