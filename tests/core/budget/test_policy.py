"""What background may do at a moment: how fast, and by which order."""

from datetime import UTC, date, datetime, timedelta

import pytest

from common.core.budget.policy import CLOSING_POWER, NO_POWER, OPEN_POWER, Policy, Usage, pace, probe_due, sweep_share
from common.core.calendar.clock import ALWAYS, Calendar
from common.core.calendar.closes import price_clock
from common.core.limits import PLANS, parse_limits
from common.market_calendar import nyse

NYSE = nyse(2027)
FRIDAY, THURSDAY = date(2026, 11, 20), date(2026, 11, 19)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def policy(limits: str, data: str = "realtime") -> Policy:
    return Policy(parse_limits(limits, "limits"), data, 0.2)


STANDARD, FREE = policy("1/1s,5/1min"), Policy(PLANS["free"].limits, "end_of_day", 0.2)


@pytest.mark.parametrize(
    ("data", "now", "power"),
    [
        ("realtime", "2026-11-20T14:30", OPEN_POWER),
        ("realtime", "2026-11-20T20:59:59", OPEN_POWER),
        ("realtime", "2026-11-20T21:00", NO_POWER),  # closed, and not yet the final price
        ("realtime", "2026-11-20T21:04:59", NO_POWER),
        ("realtime", "2026-11-20T21:05", CLOSING_POWER),
        ("delayed", "2026-11-20T21:19:59", NO_POWER),
        ("delayed", "2026-11-20T21:20", CLOSING_POWER),
        ("realtime", "2026-11-27T18:05", CLOSING_POWER),  # a half day
        ("realtime", "2026-11-22T12:00", CLOSING_POWER),  # Sunday: what Friday's sweep did not reach
        ("realtime", "2026-11-23T14:29", CLOSING_POWER),
        ("realtime", "2026-11-23T14:30", OPEN_POWER),
        ("realtime", "2023-06-01T12:00", NO_POWER),  # before the calendar begins
    ],
)
def test_the_square_root_law_while_open_and_one_sweep_once_the_close_is_final(data: str, now: str, power: int) -> None:
    now_turn = pace(policy("1/1s,5/1min", data), NYSE, at(now), Usage())

    assert (power, price_clock(NYSE, at(now), data)) == (now_turn.power, now_turn.clock)


@pytest.mark.parametrize("now", ["2026-11-20T16:00", "2026-11-20T23:00", "2026-11-22T12:00"])
def test_where_the_market_never_closes_the_law_always_holds(now: str) -> None:
    now_turn = pace(STANDARD, ALWAYS, at(now), Usage())

    assert (OPEN_POWER, at(now).timestamp()) == (now_turn.power, now_turn.clock)


@pytest.mark.parametrize(
    ("limits", "seconds"), [("1/1s,5/1min", 12), ("5/1min,60/1h", 60), ("10/1s,75/1min", 0.8), ("1/2s", 2)]
)
@pytest.mark.parametrize("now", ["2026-11-20T16:00", "2026-11-20T22:00"])
def test_without_a_quota_the_slowest_rule_sets_the_pace(limits: str, seconds: float, now: str) -> None:
    gap = pace(policy(limits), NYSE, at(now), Usage(busy=10**6, tracked=10**6)).gap

    assert gap.total_seconds() == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("now", "use"),
    [
        ("2026-11-20T14:30", Usage(tracked=20)),
        ("2026-11-20T16:00", Usage(busy=100, urgent=10, tracked=20)),
        ("2026-11-20T18:00", Usage(busy=300, tracked=20)),
        ("2026-11-20T20:30", Usage(busy=470, urgent=100, tracked=20)),
    ],
)
def test_a_quota_is_spread_over_what_is_left_of_the_session(now: str, use: Usage) -> None:
    quota, close = 500, at("2026-11-20T21:00")
    gap = pace(policy(f"1/1s,5/1min,{quota}/1d"), NYSE, at(now), use).gap
    left = close - at(now)

    assert gap >= timedelta(seconds=12)
    assert left / gap <= quota - use.busy - sweep_share(quota, use.tracked) + 1e-6
    assert gap < left


def test_the_interactive_share_is_held_back_early_and_given_to_background_in_the_last_hour() -> None:
    quota, close = policy("1/1s,5/1min,500/1d"), at("2026-11-20T21:00")
    early, late = at("2026-11-20T14:30"), at("2026-11-20T20:00")
    at_first = (close - early) / pace(quota, NYSE, early, Usage(tracked=20)).gap
    at_last = (close - late) / pace(quota, NYSE, late, Usage(busy=300, tracked=20)).gap

    assert at_first == pytest.approx(500 - 20 - 100)
    assert at_last == pytest.approx(500 - 300 - 20)


def test_interactive_calls_that_were_made_are_not_held_back_again() -> None:
    quota, now = policy("1/1s,5/1min,500/1d"), at("2026-11-20T14:30")
    gaps = [pace(quota, NYSE, now, Usage(busy=busy, urgent=busy, tracked=20)).gap for busy in (0, 100)]

    assert gaps[0] == gaps[1]


@pytest.mark.parametrize("use", [Usage(busy=500), Usage(busy=480, tracked=20), Usage(busy=5000), Usage(taken=495)])
def test_a_spent_quota_leaves_background_only_symbols_without_a_quote(use: Usage) -> None:
    assert NO_POWER == pace(policy("1/1s,5/1min,500/1d"), NYSE, at("2026-11-20T16:00"), use).power


@pytest.mark.parametrize(
    ("newest", "sessions", "halves"),
    # 252 sessions in 2024, 250 in 2025, and Friday's is the 224th of 2026; three half days in each of the years before
    [(None, 0, 0), (date(2024, 1, 2), 1, 0), (THURSDAY, 725, 6), (FRIDAY, 726, 6), (date(2026, 11, 22), 726, 6)],
)
@pytest.mark.parametrize("now", ["2026-11-20T22:00", "2026-11-22T12:00"])
def test_with_end_of_day_prices_each_trading_day_opens_one_turn(
    newest: date | None, sessions: int, halves: int, now: str
) -> None:
    """The clock is that of the newest close that is known to be out, in open seconds: a half day has three hours less."""
    now_turn = pace(FREE, NYSE, at(now), Usage(newest_day=newest))

    assert (CLOSING_POWER, sessions * 23_400 - halves * 10_800) == (now_turn.power, now_turn.clock)


def test_an_end_of_day_price_of_today_before_its_close_is_out_opens_no_turn() -> None:
    yesterdays, todays = (
        pace(FREE, NYSE, at("2026-11-20T21:30"), Usage(newest_day=day)).clock for day in (THURSDAY, FRIDAY)
    )

    assert yesterdays == todays < pace(FREE, NYSE, at("2026-11-20T22:00"), Usage(newest_day=FRIDAY)).clock


@pytest.mark.parametrize(
    ("answered", "failed", "power"),
    [(14, 0, CLOSING_POWER), (15, 0, NO_POWER), (14, 4, CLOSING_POWER), (14, 5, NO_POWER)],
)
def test_a_failed_call_costs_no_symbol_its_close_and_failures_take_a_fifth_of_a_day(
    answered: int, failed: int, power: int
) -> None:
    use = Usage(busy=answered + failed, failed=failed, tracked=15)

    assert power == pace(policy("1/1s,5/1min,25/1d"), NYSE, at("2026-11-20T22:00"), use).power


@pytest.mark.parametrize(
    ("quota", "wanted", "share"), [(500, 0, 0), (500, 20, 20), (500, 500, 500), (500, 501, 250), (25, 26, 12)]
)
def test_the_sweep_keeps_a_call_a_symbol_or_half_of_the_quota(quota: int, wanted: int, share: int) -> None:
    assert share == sweep_share(quota, wanted)


@pytest.mark.parametrize(
    ("now", "newest", "last_asked", "due"),
    [
        ("2026-11-20T21:59:59", THURSDAY, None, False),  # the close is less than an hour ago
        ("2026-11-20T22:00", THURSDAY, None, True),
        ("2026-11-20T22:00", THURSDAY, "2026-11-20T21:01", False),  # asked within the hour
        ("2026-11-20T22:00", THURSDAY, "2026-11-20T21:00", True),
        ("2026-11-20T23:30", FRIDAY, None, False),  # it is out
        ("2026-11-20T16:00", THURSDAY, None, False),  # in the session
        ("2026-11-21T03:59", THURSDAY, "2026-11-21T02:00", False),  # late: at half the time that has passed
        ("2026-11-21T04:00", THURSDAY, "2026-11-21T02:00", True),
        ("2026-11-22T12:00", None, None, True),
        ("2026-11-27T19:00", date(2026, 11, 25), None, True),  # a half day
        ("2024-01-02T15:00", None, None, False),  # no session has closed
    ],
)
def test_one_symbol_is_asked_until_the_days_close_is_out(
    now: str, newest: date | None, last_asked: str | None, due: bool
) -> None:
    asked = at(last_asked) if last_asked else None

    assert due == probe_due(FREE, NYSE, at(now), Usage(newest_day=newest), asked)


@pytest.mark.parametrize(("data", "calendar"), [("realtime", NYSE), ("delayed", NYSE), ("end_of_day", ALWAYS)])
def test_nothing_is_probed_where_prices_move_or_the_market_never_closes(data: str, calendar: Calendar) -> None:
    assert not probe_due(policy("5/1min", data), calendar, at("2026-11-20T23:00"), Usage(), None)
