"""Forecasts: properties for any situation, and some computed by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.core.forecast.promises import forecast
from common.core.forecast.situation import Gate, Request, Situation, Span, Tracked, Window
from common.core.models import CallClass, Function

NOW = datetime(2026, 11, 20, 16, tzinfo=UTC)
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
LATENCY = (timedelta(), timedelta())
GAP = 12 * SECOND
FIVE = Window(5, MINUTE)
OPEN = (Span(NOW, None, GAP, 2, 1000.0, runs=True),)


def request(n: int, **more: object) -> Request:
    return replace(Request(Function.QUOTE, f"S{n:02}", CallClass.USER, NOW + n * SECOND, requester=f"user:{n}"), **more)  # type: ignore[arg-type]


def full(calls: int, period: timedelta, frees: list[float]) -> Window:
    return Window(calls, period, None, len(frees), tuple(NOW + timedelta(seconds=free) for free in sorted(frees)))


def order(situation: Situation) -> list[str]:
    served = forecast(situation).served
    return [subject for _, subject in sorted(served, key=lambda key: served[key])]


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """Rules of a second, a minute and a day, each as busy as may be, with requests of several people."""
    frees = st.floats(0.1, 1.0)
    minute, day = draw(st.integers(1, 6)), draw(st.integers(5, 30))
    rules = [
        full(1, 2 * SECOND, [2 * free for free in draw(st.lists(frees, max_size=1))]),
        full(minute, MINUTE, [60 * free for free in draw(st.lists(frees, max_size=minute))]),
        full(day, DAY, [86_400 * free for free in draw(st.lists(frees, max_size=day))]),
    ]
    people = draw(st.lists(st.integers(0, 3), min_size=1, max_size=12))
    queue = [
        request(n, requester=f"user:{who}", since=NOW - timedelta(seconds=60 - n), used=who)
        for n, who in enumerate(people)
    ]
    hold = draw(st.one_of(st.none(), st.integers(1, 7200)))
    gate = Gate() if hold is None else Gate("operator", NOW + hold * SECOND)
    asked = draw(st.integers(0, 20))
    return Situation(
        NOW,
        rules,
        gate,
        queue,
        OPEN,
        backlog=draw(st.integers(0, 5)),
        asked=asked,
        requesters=min(asked, 3),
        latency=LATENCY,
    )


@given(situations())
def test_no_rule_and_no_hold_is_broken_by_what_is_promised(situation: Situation) -> None:
    seen = forecast(situation)
    times = sorted(seen.served.values())

    for window in situation.windows:
        busy = sorted(window.frees)
        for n, at in enumerate(times):  # whoever is n-th needs n + 1 slots of the window by then
            still = sum(free > at for free in busy) + sum(at - window.period < other <= at for other in times[:n])
            assert still < window.calls
    assert all(at >= (situation.gate.held_until or NOW) for at in times)
    assert all(seen.surely[key] >= at for key, at in seen.served.items())


@given(situations())
def test_whoever_stands_behind_is_promised_no_earlier_time(situation: Situation) -> None:
    alone = [replace(each, requester=None) for each in situation.queue]
    seen = forecast(replace(situation, queue=alone)).served
    times = [seen[each.key] for each in sorted(alone, key=lambda each: each.since) if each.key in seen]

    assert times == sorted(times)


@given(situations(), st.sampled_from(["provider_down", "bad_key"]))
def test_a_closed_gate_promises_nothing(situation: Situation, why: str) -> None:
    seen = forecast(replace(situation, gate=Gate(why, NOW + MINUTE, probing=True)))

    assert ({}, {}, {}, ()) == (seen.served, seen.surely, seen.refreshed, seen.firsts)


def test_a_failing_provider_or_a_day_of_which_nobody_knows_the_end_is_a_closed_gate() -> None:
    assert Gate(fails=True).closed
    assert Gate("day_used_up", NOW, probing=True, knows_day=False).closed
    assert not Gate("day_used_up", NOW, probing=True).closed
    assert not Gate("operator", NOW).closed


def test_one_that_asks_alone_is_served_at_once_and_surely_a_second_later() -> None:
    seen = forecast(Situation(NOW, [FIVE], queue=[request(0)], latency=(SECOND / 2, 2 * SECOND)))

    assert NOW + SECOND / 2 == seen.served[request(0).key]
    assert NOW + 3 * SECOND == seen.surely[request(0).key]


def test_whoever_had_the_fewest_calls_goes_first_and_one_person_does_not_go_twice_in_a_row() -> None:
    queue = [
        request(0, requester="user:1"),
        request(1, requester="user:1"),
        request(2, requester="user:2"),
        request(3, requester="user:3", used=5),
    ]

    assert ["S00", "S02", "S01", "S03"] == order(Situation(NOW, [Window(1, MINUTE)], queue=queue, latency=LATENCY))


def test_what_was_promised_for_now_goes_before_those_who_had_fewer_calls() -> None:
    queue = [request(0), request(1, used=9, urgent_at=NOW + 30 * SECOND), request(2)]

    assert ["S00", "S01", "S02"] == order(Situation(NOW, [Window(1, MINUTE)], queue=queue, latency=LATENCY))


def test_a_stranger_waits_for_the_ceiling_while_background_wants_the_slot() -> None:
    queue = [request(n, call_class=CallClass.STRANGER, groups=frozenset({"waiting", "stranger"})) for n in range(2)]
    ceiling = Window(1, MINUTE, "stranger")
    busy = Situation(NOW, [FIVE, ceiling], queue=queue, spans=OPEN, backlog=9, latency=LATENCY)
    idle = Situation(NOW, [FIVE, ceiling], queue=queue, latency=LATENCY)

    assert [NOW, NOW + MINUTE] == sorted(forecast(busy).served.values())
    assert [NOW, NOW] == sorted(forecast(idle).served.values())


def test_a_requester_that_has_all_its_calls_of_the_day_waits_for_the_oldest_of_them() -> None:
    spent = request(0, own=3, own_free_at=NOW + 5 * MINUTE)
    situation = Situation(NOW, [FIVE], queue=[spent, request(1)], most_of_one={"user": 3}, latency=LATENCY)

    assert {request(0).key: NOW + 5 * MINUTE, request(1).key: NOW} == forecast(situation).served


def test_a_request_that_backs_off_is_not_served_before() -> None:
    situation = Situation(NOW, [FIVE], queue=[request(0, ready_at=NOW + 4 * SECOND)], latency=LATENCY)

    assert NOW + 4 * SECOND == forecast(situation).served[request(0).key]


def symbols(*clocks: float) -> list[Tracked]:
    return [Tracked(f"W{n}", 1.0, 0, clock) for n, clock in enumerate(clocks)]


def test_background_refreshes_the_oldest_of_a_level_one_call_each_gap() -> None:
    seen = forecast(
        Situation(NOW, [FIVE], spans=OPEN, background_at=NOW - GAP, tracked=symbols(900, 800, 950), latency=LATENCY)
    )

    assert ["W1", "W0", "W2"] == sorted(seen.refreshed, key=lambda symbol: seen.refreshed[symbol])
    assert 2 * GAP == seen.refreshed["W2"] - seen.refreshed["W1"]


def test_people_take_slots_from_background() -> None:
    quiet = Situation(
        NOW, [full(5, MINUTE, [12, 24, 36, 48, 60])], spans=OPEN, tracked=symbols(*range(20)), latency=LATENCY
    )
    busy = replace(quiet, asked=25, requesters=25)

    last = max(forecast(quiet).refreshed.values()) - NOW
    assert 1.3 * last < max(forecast(busy).refreshed.values()) - NOW < 3 * last


def test_after_the_close_each_symbol_is_refreshed_once_from_the_lag_on() -> None:
    lag = NOW + 5 * MINUTE
    spans = (Span(NOW, lag, GAP, 0, 1000.0, runs=False), Span(lag, None, GAP, 1, 1000.0, runs=False))
    seen = forecast(Situation(NOW, [FIVE], spans=spans, tracked=symbols(900, 1000), latency=LATENCY))

    assert {"W0": lag} == seen.refreshed


def test_a_symbol_in_quarantine_is_not_refreshed_before_its_rest_is_over() -> None:
    ends = NOW + 7 * MINUTE
    seen = forecast(
        Situation(NOW, [FIVE, Window(1, 4 * MINUTE, "trial")], spans=OPEN, resting={"BAD": ends}, latency=LATENCY)
    )

    assert ends <= seen.refreshed["BAD"] <= ends + GAP


def test_a_bulk_call_serves_all_who_wait() -> None:
    queue = [request(n) for n in range(30)]
    seen = forecast(Situation(NOW, [Window(1, MINUTE)], queue=queue, bulk=100, latency=LATENCY))

    assert {NOW} == set(seen.served.values())


def test_first_quotes_and_refreshes_take_turns() -> None:
    seen = forecast(
        Situation(NOW, [FIVE], spans=OPEN, background_at=NOW - GAP, tracked=symbols(0, 0, 0), firsts=2, latency=LATENCY)
    )

    assert [GAP * 2] == [seen.firsts[1] - seen.firsts[0]]


@pytest.mark.parametrize("size", [100, 3000])
def test_it_ends_soon_however_long_the_line_is(size: int) -> None:
    queue = [request(n, call_class=CallClass.OPERATOR, requester=None) for n in range(size)]

    assert len(forecast(Situation(NOW, [FIVE], queue=queue, spans=OPEN, backlog=50)).served) == size
