"""Days on which New York's hours are not those of the day before: half days, holidays, the change of clocks."""

from datetime import datetime, timedelta

import pytest

from common.core.calendar.clock import Session
from tests.policy.conftest import Begin
from tests.policy.day import LOOK, at, crowd

FINAL = timedelta(minutes=5)
PACE = timedelta(minutes=5)
SYMBOLS = 6


def hours(day: str, opening: str, close: str) -> Session:
    return at(f"{day}T{opening}"), at(f"{day}T{close}")


@pytest.mark.parametrize(
    ("start", "sessions"),
    [
        # Wednesday, Thanksgiving, a half day, a weekend, Monday
        (
            "2026-11-25T12:00",
            [
                hours("2026-11-25", "14:30", "21:00"),
                hours("2026-11-27", "14:30", "18:00"),
                hours("2026-11-30", "14:30", "21:00"),
            ],
        ),
        # the Friday before the clocks go forward, and the Monday after
        ("2026-03-06T12:00", [hours("2026-03-06", "14:30", "21:00"), hours("2026-03-09", "13:30", "20:00")]),
        # and back
        ("2026-10-30T12:00", [hours("2026-10-30", "13:30", "20:00"), hours("2026-11-02", "14:30", "21:00")]),
    ],
)
async def test_refreshing_begins_at_the_open_ends_at_the_close_and_sweeps_once(
    begin: Begin, start: str, sessions: list[Session]
) -> None:
    day = await begin(at(start), PROVIDER_LIMITS="1/5min", PROVIDER_DATA="realtime")
    day.cap = timedelta(minutes=30)
    await day.watch(crowd(SYMBOLS))
    last: datetime = sessions[-1][1]
    await day.run(last + timedelta(hours=3))

    swept = timedelta(minutes=5) + SYMBOLS * timedelta(minutes=5, seconds=10)
    for opening, close in sessions:
        within = day.record.between(opening, close)
        assert within[0].at - opening <= LOOK
        assert close - within[-1].at <= PACE + timedelta(seconds=2)
        assert len(within) >= 0.98 * ((close - opening) / PACE)
        assert day.record.between(close, close + FINAL) == []
        assert sorted(day.record.weights) == sorted(day.record.asked(close + FINAL, close + FINAL + swept))
    in_order = sum(len(day.record.between(opening, close)) + SYMBOLS for opening, close in sessions)
    assert in_order == len(day.record.calls)
