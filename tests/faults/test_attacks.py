"""Under every attack watched symbols are refreshed, and no client takes more than its share: by the simulator's log, on real processes.

Promises are those of "Whose calls they are" in docs/architecture.md. A share is checked in every minute of the log, because
it is a share of the limit of a minute: a client that takes it at once may take it again a minute later.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from tests.faults.attacks import (
    CALLS,
    FREE_LIMITS,
    MINUTE,
    WATCHED,
    Answer,
    Call,
    Log,
    Person,
    Site,
    come_back,
    hoard_nonsense,
    listed_symbol,
    most_in_a_minute,
    open_site,
    pester,
    rotate_nonsense,
)
from tests.harness.polling import eventually

ATTACK = 75.0  # seconds: longer than the window
FIFTH, TWENTIETH = CALLS // 5, max(1, CALLS // 20)  # calls a minute
UNWATCHED = CALLS * 3 // 10  # refreshes a minute of what nobody watches
CREDIT = 5  # symbols that the listing lacks, of one account
REST = 0.8  # of the calls, which is left for what is watched
GAP = 2.5  # times what a round robin of the rest needs: who attacks takes a fifth at once, and the order is by weight and age
USUAL = {200, 201, 404, 409, 429, 503}
CLOSES_AFTER = 3  # failed calls that close the gate
IN_FLIGHT = 1  # calls that were granted before the last of these failed
OUTAGE, FIRST_PROBE, SECOND_PROBE = 40.0, 15.0, 30.0  # seconds
AT_ONCE = 1.0  # seconds
RELEASED = 10.0  # seconds

RecordProperty = Callable[[str, object], None]


def longest_gap_allowed(symbols: int) -> float:
    """Seconds between two calls for a watched symbol."""
    return GAP * symbols / (REST * CALLS / MINUTE)


def check(site: Site, log: Log, record_property: RecordProperty, **figures: object) -> None:
    """What holds under every attack: no call over the limit, no unexpected answer."""
    odd = [answer for answer in site.answers if answer.status not in USUAL]
    bare = [answer for answer in site.answers if answer.status == 503 and answer.retry_after is None]
    broken = sum(answer.status == 500 for answer in site.answers)
    statuses = dict(Counter(answer.status for answer in site.answers))
    record_property("counts", {"over_limit_calls": log.over_limit, "status_500": broken})
    record_property("figures", {"calls": len(log.calls), **figures, "statuses": statuses})
    assert (0, [], []) == (log.over_limit, odd[:5], bare[:5])


def gaps(log: Log, begin: float, end: float) -> dict[str, float]:
    return {symbol: round(log.longest_gap(symbol, begin, end), 1) for symbol in WATCHED}


def check_watched(log: Log, begin: float, end: float) -> None:
    late = {symbol: gap for symbol, gap in gaps(log, begin, end).items() if gap > longest_gap_allowed(len(WATCHED))}
    assert {} == late, in_order(log.calls, begin)


def in_order(calls: Sequence[Call], since: float) -> str:
    """The calls, by seconds since then."""
    return "\n".join(f"{call.at - since:6.1f} {call.function} {call.symbol} {call.outcome}" for call in calls)


def asked_first(calls: Sequence[Call]) -> list[Call]:
    """Calls but for those that ask for the same again: what was read once is refreshed, in the class `refresh`."""
    first = {(call.function, call.symbol): call for call in reversed(calls)}
    return sorted(first.values(), key=lambda call: call.at)


async def attack_as_strangers(networks: int, record_property: RecordProperty) -> None:
    async with open_site() as (site, _):
        begin = time.monotonic()
        await pester(site, networks=networks, seconds=ATTACK, every=0.2)
        end, log = time.monotonic(), await site.log()

        strange = log.for_nobody(WATCHED, begin)
        during = sum(call.at >= begin for call in log.calls)
        worst = max(gaps(log, begin, end).values())
        asked, most = asked_first(strange), most_in_a_minute(strange)
        figures = {"most_a_minute": most, "refreshed_again": len(strange) - len(asked), "longest_gap_s": worst}
        check(site, log, record_property, during=during, strange=len(strange), **figures)
        assert 0 < most_in_a_minute(asked) <= FIFTH + 1, in_order(log.calls, begin)
        assert most <= FIFTH + UNWATCHED + 1, in_order(log.calls, begin)
        check_watched(log, begin, end)


@pytest.mark.faults
async def test_one_stranger_who_asks_all_the_time_takes_a_fifth_of_the_calls(record_property: RecordProperty) -> None:
    await attack_as_strangers(1, record_property)


@pytest.mark.faults
async def test_strangers_of_a_thousand_networks_take_a_fifth_of_the_calls_together(
    record_property: RecordProperty,
) -> None:
    await attack_as_strangers(1000, record_property)


@pytest.mark.faults
async def test_an_account_with_ever_new_nonsense_has_its_credit_and_trials(record_property: RecordProperty) -> None:
    async with open_site() as (site, _):
        attacker = await site.register("attacker")
        begin = time.monotonic()
        await rotate_nonsense(site, attacker, seconds=ATTACK, pause=2.0)
        end, log = time.monotonic(), await site.log()

        wasted = log.for_nobody(WATCHED, begin)
        worst = max(gaps(log, begin, end).values())
        check(site, log, record_property, wasted=len(wasted), longest_gap_s=worst, took=round(end - begin))
        trials = TWENTIETH * (1 + int((end - begin) / MINUTE))
        assert 0 < len(wasted) <= CREDIT + trials, in_order(log.calls, begin)
        check_watched(log, begin, end)


@pytest.mark.faults
async def test_sixty_accounts_with_fifty_symbols_of_nonsense_each_take_a_fifth_together(
    record_property: RecordProperty,
) -> None:
    async with open_site() as (site, _):
        attackers = await site.register_all("attacker", 60)
        begin = time.monotonic()
        async with asyncio.TaskGroup() as attack:
            for n, attacker in enumerate(attackers):
                attack.create_task(hoard_nonsense(site, attacker, 50 * n, seconds=ATTACK))
        end, log = time.monotonic(), await site.log()

        wasted = log.for_nobody(WATCHED, begin)
        worst, most = max(gaps(log, begin, end).values()), most_in_a_minute(wasted)
        check(site, log, record_property, wasted=len(wasted), most_a_minute=most, longest_gap_s=worst)
        assert 0 < most <= FIFTH + TWENTIETH + 1, in_order(log.calls, begin)
        check_watched(log, begin, end)


@pytest.mark.faults
async def test_an_outage_with_readers_waiting_costs_three_calls_and_a_probe(record_property: RecordProperty) -> None:
    async with open_site() as (site, _):
        readers = await site.register_all("reader", 10)
        answers = list[Answer]()
        await site.stack.set_fault(kind="http_503")
        begin = time.monotonic()
        async with asyncio.TaskGroup() as reading:
            for n, reader in enumerate(readers):
                reading.create_task(come_back(site, reader, f"/api/stock/{listed_symbol(n)}", answers))
            impatient = await _keep_asking(site, readers[0], seconds=OUTAGE)
            await site.stack.set_fault()
            end = time.monotonic()

            async def is_refreshed() -> bool:
                return await site.is_quoted(WATCHED, since=end)

            await eventually(is_refreshed, within=SECOND_PROBE + MINUTE, what="what is watched is refreshed again")
            recovered = time.monotonic() - end
        log = await site.log()

        failed = [call for call in log.calls if call.outcome == "fault:http_503"]
        closed = failed[CLOSES_AFTER - 1].at + AT_ONCE
        meanwhile = [each for each in [*answers, *impatient] if closed < each.at < end - AT_ONCE]
        slowest = max((each.took for each in meanwhile), default=0.0)
        figures = {"failed": [round(call.at - begin, 1) for call in failed], "recovered_s": round(recovered, 1)}
        check(site, log, record_property, **figures, heard=len(meanwhile), slowest_s=round(slowest, 2))
        assert len(failed) <= CLOSES_AFTER + IN_FLIGHT + 1, in_order(log.calls, begin)
        check_refusals(meanwhile)
        assert {200} == {each.status for each in answers if each.at > end + SECOND_PROBE + MINUTE} | {
            answers[-1].status
        }


def check_refusals(answers: Sequence[Answer]) -> None:
    """Each answer says at once that the provider is away, and has `Retry-After`."""
    assert answers
    expected = (503, "provider_unavailable", True, True)
    seen = [(each.status, each.code, each.retry_after is not None, each.took <= AT_ONCE) for each in answers]
    assert [] == [each for each, was in zip(answers, seen, strict=True) if was != expected]


@pytest.mark.parametrize(
    "seconds", [pytest.param(5.0, id="5 s"), pytest.param(MINUTE, id="a minute", marks=pytest.mark.faults)]
)
async def test_a_refused_key_is_tried_no_more_until_an_operator_releases_it(
    seconds: float, record_property: RecordProperty
) -> None:
    watched = WATCHED[:3]
    async with open_site(watched) as (site, _):
        operator, reader = await site.register_operator(), await site.register("reader")
        await site.stack.set_fault(kind="notice:bad_key")
        await eventually(lambda: _is_refused(site), within=RELEASED, what="the key is refused")
        await asyncio.sleep(AT_ONCE)  # a call that was granted before has arrived by then
        refused = len((await site.log()).calls)
        begin = time.monotonic()
        answers = await _keep_asking(site, reader, seconds=seconds)
        quiet = (await site.log()).calls[refused:]
        await site.stack.set_fault()
        released = time.monotonic()
        told = await site.request("DELETE", "/api/ops/hold", network=operator.network, key=operator.key)
        back = await _seconds_until_quoted(site, watched, released)
        log = await site.log()

        refusals = sum(call.outcome == "fault:notice:bad_key" for call in log.calls)
        check(site, log, record_property, refusals=refusals, while_closed=len(quiet), heard=len(answers), back_s=back)
        assert [] == quiet, in_order(log.calls, begin)
        assert refusals <= 1 + IN_FLIGHT
        check_refusals(answers)
        assert 200 == told.status
        assert back <= RELEASED


async def _is_refused(site: Site) -> bool:
    return any(call.outcome == "fault:notice:bad_key" for call in (await site.log()).calls)


async def _keep_asking(site: Site, reader: Person, *, seconds: float) -> list[Answer]:
    """For a symbol without a quote, each second."""
    answers, end = list[Answer](), time.monotonic() + seconds
    while time.monotonic() < end:
        answers.append(await site.get_as(reader, f"/api/stock/{listed_symbol(0)}"))
        await asyncio.sleep(1.0)
    return answers


async def _seconds_until_quoted(site: Site, watched: Sequence[str], since: float) -> float:
    async def is_quoted() -> bool:
        return await site.is_quoted(watched, since=since)

    await eventually(is_quoted, within=MINUTE, what="quotes come again")
    return round(time.monotonic() - since, 1)


@pytest.mark.faults
async def test_strangers_get_five_of_a_free_keys_day_and_the_budget_says_so(record_property: RecordProperty) -> None:
    watched = WATCHED[:3]
    async with open_site(watched, FREE_LIMITS, ALPHA_VANTAGE_PLAN="free") as (site, _):
        operator, reader = await site.register_operator(), await site.register("reader")
        begin, answers = time.monotonic(), list[Answer]()
        async with asyncio.TaskGroup() as attack:
            attack.create_task(pester(site, networks=1, seconds=ATTACK, every=0.5, first=5000))
            attack.create_task(pester(site, networks=1000, seconds=ATTACK, every=0.06))
            await asyncio.sleep(10)  # the strangers are first
            attack.create_task(come_back(site, reader, f"/api/stock/{listed_symbol(0)}?wait=15", answers))
        budget, log = await site.get_as(operator, "/api/ops/budget"), await site.log()

        asked_by_user = [call for call in log.calls if call.symbol == listed_symbol(0)]
        strange = [call for call in log.for_nobody(watched, begin) if call not in asked_by_user]
        spent = _spent_a_day(budget)
        waited = round(answers[-1].at + answers[-1].took - answers[0].at, 1)
        check(site, log, record_property, strange=len(strange), user_waited_s=waited, spent=dict(spent))
        assert 0 < len(strange) <= 5, in_order(log.calls, begin)
        assert (len(asked_first(strange)), len(log.calls)) == (spent["stranger"], spent.total())
        assert 200 == answers[-1].status


def _spent_a_day(budget: Answer) -> Counter[str]:
    """Calls of the last day, by class."""
    assert 200 == budget.status, budget
    spent = Counter[str]()
    for row in budget.body["spent"]:
        if row["window"] == "day":
            spent[row["class"]] += row["calls"]
    return spent
