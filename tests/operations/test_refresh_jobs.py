"""Jobs: queued once, served by whoever works the line, reported whatever died meanwhile."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from redis.asyncio import Redis

from common.calls import work
from common.calls.settle import settle
from common.core.budget.policy import Policy
from common.core.calendar.trading_day import latest_day
from common.core.limits import parse_limits
from common.core.models import CallClass, Function, Listed, Price
from common.core.provider.outcomes import Hold, Outcome
from common.errors import InvalidRequest, InvalidSymbol, NotFound, UnknownSymbol
from common.operations.refresh_jobs import JobReport, queue_all, queue_refresh, report_job
from common.process.resources import Resources
from common.store.budget import gate, ledger, refresh_jobs
from common.store.budget.ledger import select_now
from common.store.budget.queue import enqueue
from common.store.connection.pool import acquire
from common.store.market.listings import replace_listing
from common.store.market.symbols import upsert_pins
from tests.operations.conftest import BY, acts, after, break_provider, execute, serve, take
from tests.store.conftest import Clock
from worker.jobs import work_queue


async def queue(process: Resources, *symbols: str) -> JobReport:
    return await queue_refresh(process, symbols, by=BY)


def states(report: JobReport) -> dict[str, str | None]:
    return {item.symbol: item.outcome or item.state for item in report.items}


async def classes(process: Resources) -> dict[str, str]:
    async with acquire(process.db) as connection:
        rows = await connection.fetch(
            "SELECT subject, class FROM demand WHERE function = 'GLOBAL_QUOTE' ORDER BY subject"
        )
    return dict(rows)


async def test_symbols_are_queued_once_each_as_the_operators(process: Resources) -> None:
    report = await queue(process, "ibm", "brk.b", "IBM")

    assert {"BRK-B": CallClass.OPERATOR, "IBM": CallClass.OPERATOR} == await classes(process)
    assert {"BRK-B": "waiting", "IBM": "waiting"} == states(report)
    assert (2, 2, 0, False, None, BY) == (
        report.total,
        report.waiting,
        report.settled,
        report.done,
        report.next,
        report.queued_by,
    )
    assert [("refresh_queued", BY, f"job {report.id}: 2 symbols")] == await acts(process)


async def test_symbols_are_spelt_as_the_listing_in_the_database_has_them(process: Resources) -> None:
    """As `quotewell refresh brk/b` does, which has no copy of it."""
    listed = [Listed(symbol, symbol, "NYSE", "Stock", None) for symbol in ("BRK-B", "BP")]
    async with acquire(process.db) as connection:
        await replace_listing(connection, process.settings.source, listed, await select_now(connection))
    report = await queue(process, "brk/b", "BRK B", "brk.b", "bp.l")

    assert {"BP.L": "waiting", "BRK-B": "waiting"} == states(report)


async def test_a_job_is_done_when_every_symbol_is_settled(process: Resources) -> None:
    job = (await queue(process, "IBM", "NOSUCH")).id
    await serve(process)
    half = await report_job(process, job)
    await serve(process)
    report = await report_job(process, job)

    assert ({"IBM": "ok", "NOSUCH": "waiting"}, False) == (states(half), half.done)
    assert ({"IBM": "ok", "NOSUCH": "no_data"}, True) == (states(report), report.done)
    assert (2, 1, 0.0) == (report.settled, report.failed, report.estimate_s)
    assert all(item.call and item.settled_at for item in report.items)


async def test_a_call_that_is_made_now_is_under_way(process: Resources) -> None:
    job = (await queue(process, "IBM")).id
    await take(process)
    report = await report_job(process, job)

    assert ({"IBM": "under_way"}, 1, False) == (states(report), report.under_way, report.done)


async def test_a_job_outlives_the_worker_that_took_it(process: Resources, clock: Clock) -> None:
    job = (await queue(process, "IBM")).id
    await take(process)  # and dies
    clock.pass_(timedelta(seconds=13))
    waiting = await report_job(process, job)
    assert Outcome.OK == await serve(process)

    assert {"IBM": "waiting"} == states(waiting)
    assert {"IBM": "ok"} == states(await report_job(process, job))


async def test_a_job_outlives_an_emptied_redis(process: Resources, redis: Redis) -> None:
    job = (await queue(process, "IBM")).id
    await redis.flushall()
    await work_queue(process, stopping=after(1))

    assert {"IBM": "ok"} == states(await report_job(process, job))


async def test_two_jobs_for_one_symbol_are_settled_by_one_call(process: Resources, clock: Clock) -> None:
    one = await queue(process, "IBM")
    clock.pass_(1)
    other = await queue(process, "IBM", "AAPL")
    await serve(process)
    reports = [await report_job(process, job.id) for job in (one, other)]

    assert [{"IBM": "ok"}, {"AAPL": "waiting", "IBM": "ok"}] == list(map(states, reports))
    assert 1 == len({item.call for report in reports for item in report.items if item.call})


async def test_three_tries_that_fail_settle_as_the_failure(process: Resources, clock: Clock) -> None:
    await break_provider(process, "http_503")
    job = (await queue(process, "IBM")).id
    seen = []
    for _ in range(3):
        await serve(process)
        seen.append(states(await report_job(process, job))["IBM"])
        clock.pass_(timedelta(seconds=6))

    assert ["waiting", "waiting", "unavailable"] == seen
    assert 1 == (await report_job(process, job)).failed


async def test_what_is_never_served_expires_after_a_week(process: Resources, clock: Clock) -> None:
    job = (await queue(process, "IBM")).id
    clock.pass_(timedelta(days=7, seconds=1))
    async with acquire(process.db) as connection:
        await refresh_jobs.update_expired(connection)
    report = await report_job(process, job)

    assert ({"IBM": "expired"}, 1, True) == (states(report), report.expired, report.done)


async def test_a_job_whose_symbols_left_the_line_is_not_done(process: Resources) -> None:
    """As after a death amid the queueing of many; a worker lets them join again."""
    job = (await queue(process, "AAPL", "IBM")).id
    async with acquire(process.db) as connection:
        await connection.execute("DELETE FROM demand WHERE subject = 'IBM'")
        lost = await refresh_jobs.select_lost(connection, most=10)
    report = await report_job(process, job)

    assert (["IBM"], 2, False) == (lost, report.waiting, report.done)


async def test_what_a_bulk_call_did_not_bring_is_no_success(process: Resources) -> None:
    bulky = replace(process, budget=replace(process.budget, bulk=True))
    job = (await queue(bulky, "AAPL", "IBM")).id
    grant = (await take(bulky)).grant
    await settle(bulky, grant, Outcome.OK, (Price("AAPL", Decimal(1), latest_day("AAPL", grant.granted_at)),))
    report = await report_job(bulky, job)

    assert {"AAPL": "ok", "IBM": "no_data"} == {item.symbol: item.outcome for item in report.items}
    assert (1, True) == (report.failed, report.done)


async def test_a_lost_symbol_joins_the_line_again(process: Resources) -> None:
    await queue(process, "AAPL", "IBM")
    await execute(process, "DELETE FROM demand")
    await work_queue(process, stopping=lambda: True)

    assert {"AAPL": CallClass.OPERATOR, "IBM": CallClass.OPERATOR} == {
        name: call_class for name, call_class in (await classes(process)).items() if name in ("AAPL", "IBM")
    }


async def test_a_days_quota_and_the_half_of_it_that_orders_may_take_are_in_the_estimate(process: Resources) -> None:
    report = await queue(limited(process, "5/1min,10/1d"), *(f"S{number}" for number in range(20)))

    assert 3 * 86_400 == pytest.approx(report.estimate_s, abs=3)


async def test_a_symbol_that_waits_already_is_joined(process: Resources) -> None:
    async with acquire(process.db) as connection:
        await enqueue(connection, process.budget, Function.QUOTE, ["AAPL"], CallClass.USER)
        await enqueue(connection, process.budget, Function.QUOTE, ["IBM"], CallClass.REFRESH)
    await queue(process, "AAPL", "IBM")

    assert {"AAPL": CallClass.USER, "IBM": CallClass.OPERATOR} == await classes(process)


@pytest.mark.parametrize("count", [0, 501])
async def test_too_few_or_too_many_symbols_are_refused(process: Resources, count: int) -> None:
    with pytest.raises(InvalidRequest, match=f"expected 1 to 500, not {count}"):
        await queue(process, *(f"S{number}" for number in range(count)))

    assert ({}, []) == (await classes(process), await acts(process))


async def test_five_hundred_symbols_are_taken(process: Resources) -> None:
    report = await queue(process, *(f"S{number}" for number in range(500)))
    rest = await report_job(process, report.id, after=report.next)

    assert (500, 500, "S99") == (report.total, len(report.items), report.next)
    assert ([], None) == (rest.items, rest.next)


async def test_an_unknown_symbol_is_named_and_nothing_is_queued(process: Resources) -> None:
    await queue(process, "NOSUCH")
    await serve(process)

    with pytest.raises(UnknownSymbol, match="the provider does not have NOSUCH; leave out"):
        await queue(process, "IBM", "nosuch")
    assert {} == await classes(process)


async def test_what_cannot_be_a_symbol_is_refused(process: Resources) -> None:
    with pytest.raises(InvalidSymbol):
        await queue(process, "IBM", "A B")

    assert {} == await classes(process)


@pytest.mark.parametrize("job", [-1, 0, 7, 2**63, 10**30])
async def test_a_job_that_is_not_there_is_not_found(process: Resources, job: int) -> None:
    with pytest.raises(NotFound, match=f"there is no job {job}; expected"):
        await report_job(process, job)


async def wanted(process: Resources) -> None:
    """NEW has no quote, IBM a quote, BAD rests in quarantine, and nobody wants OTHER."""
    async with acquire(process.db) as connection:
        await upsert_pins(connection, ["BAD", "IBM", "NEW"])
    await queue(process, "IBM")
    await serve(process)
    statement = """
        INSERT INTO attempts (account, symbol, at, failures, quarantined_until)
        VALUES ($1, 'BAD', ledger_now(), 1, ledger_now() + interval '1 hour')
    """
    await execute(process, statement, process.budget.account)
    await execute(process, "INSERT INTO symbols (symbol) VALUES ('OTHER')")


async def test_all_are_the_wanted_ones_that_do_not_rest(process: Resources) -> None:
    await wanted(process)
    report = await queue_all(process, stale_only=False, by=BY)

    assert {"IBM": "waiting", "NEW": "waiting"} == states(report)


async def test_the_stale_ones_are_past_their_ttl_or_without_a_quote(process: Resources, clock: Clock) -> None:
    await wanted(process)
    fresh = await queue_all(process, stale_only=True, by=BY)
    clock.pass_(process.settings.quote_ttl)
    later = await queue_all(process, stale_only=True, by=BY)

    assert ["NEW"] == list(states(fresh))
    assert ["IBM", "NEW"] == list(states(later))


async def test_a_job_of_nothing_is_done_at_once(process: Resources) -> None:
    report = await queue_all(process, stale_only=False, by=BY)

    assert (0, True, [], 0.0) == (report.total, report.done, report.items, report.estimate_s)


async def test_many_symbols_join_the_line_in_batches(process: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.operations.refresh_jobs.BATCH_SIZE", 100)
    async with acquire(process.db) as connection:
        await upsert_pins(connection, [f"S{number}" for number in range(1050)])
    report = await queue_all(process, stale_only=False, by=BY)
    pages = [report]
    while pages[-1].next:
        pages.append(await report_job(process, report.id, after=pages[-1].next))

    assert (1050, 1050) == (report.total, report.waiting)
    assert [500, 500, 50] == [len(page.items) for page in pages]
    assert 1050 == len({item.symbol for page in pages for item in page.items})
    assert 1 == len(await acts(process))


def limited(process: Resources, limits: str, *, bulk: bool = False) -> Resources:
    rules = parse_limits(limits, "limits")
    ask = replace(process.budget, limits=rules, bulk=bulk)
    return replace(process, budget=ask, policy=Policy(rules, "realtime", process.policy.interactive_share))


async def test_the_estimate_is_when_the_last_one_is_served_after_a_hold(process: Resources) -> None:
    slow = limited(process, "1/1min")
    async with acquire(process.db) as connection:
        await enqueue(connection, process.budget, Function.DAILY, ["IBM"], CallClass.USER)
    job = (await queue(process, "A", "B")).id
    before = await report_job(slow, job)
    async with acquire(process.db) as connection:
        until = await ledger.select_now(connection) + timedelta(hours=1)
        await gate.upsert_hold(connection, process.budget.account, Hold(until, "operator", probing=False))

    assert 2 * 60 + 3 * 0.5 == before.estimate_s
    assert 3600 + 2 * 60 + 3 * 0.5 == (await report_job(slow, job)).estimate_s


async def test_while_the_provider_fails_nobody_knows_when_a_job_ends(process: Resources) -> None:
    async with acquire(process.db) as connection:
        until = await ledger.select_now(connection) + timedelta(minutes=1)
        await gate.upsert_hold(connection, process.budget.account, Hold(until, "provider_down", probing=True))

    assert None is (await queue(process, "A")).estimate_s


async def test_with_bulk_calls_a_hundred_are_served_at_once(process: Resources) -> None:
    job = (await queue(process, *(f"S{number}" for number in range(101)))).id

    assert 60 + 2 * 0.5 == (await report_job(limited(process, "1/1min", bulk=True), job)).estimate_s


async def test_a_call_that_never_left_leaves_the_job_waiting(process: Resources) -> None:
    job = (await queue(process, "IBM")).id
    permit = await take(process)
    await work.carry_out(process, replace(permit, asked=permit.asked - 60))

    assert {"IBM": "waiting"} == states(await report_job(process, job))


async def test_an_order_counts_for_the_operators_share_unless_it_is_forced(process: Resources) -> None:
    await queue(process, "AAPL", "IBM")
    await queue_refresh(process, ["IBM"], by=BY, forced=True)
    await queue_refresh(process, ["MSFT"], by=BY, forced=True)
    async with acquire(process.db) as connection:
        rows = await connection.fetch(
            "SELECT subject, groups FROM demand WHERE function = 'GLOBAL_QUOTE' ORDER BY subject"
        )

    assert {"AAPL": ["waiting"], "IBM": [], "MSFT": []} == dict(map(tuple, rows))
