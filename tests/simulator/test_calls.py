from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.core.limits import parse_limits
from simulator.calls import CallLog

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def judged(limits: str, arrivals: list[float]) -> list[str | None]:
    """The rule that each arrival broke."""
    log = CallLog(parse_limits(limits, "limits"))
    return [_record(log, at) for at in arrivals]


def _record(log: CallLog, at: float) -> str | None:
    _, rule = log.record(at, NOON, function="GLOBAL_QUOTE", symbol="IBM")
    return str(rule) if rule else None


@pytest.mark.parametrize(
    ("limits", "arrivals", "broken"),
    [
        ("1/1s", [100.0, 101.0], [None, None]),
        ("1/1s", [100.0, 100.999999], [None, "1/1s"]),
        ("2/1min", [1000.1, 1010.0, 1060.1], [None, None, None]),
        ("2/1min", [1000.1, 1010.0, 1060.0999], [None, None, "2/1min"]),
        ("2/1min", [0.0, 1.0, 2.0, 61.5], [None, None, "2/1min", None]),
        ("2/1min", [0.0, 1.0, 2.0, 60.5], [None, None, "2/1min", "2/1min"]),  # the refused call counts too
        ("1/1s,2/1min", [0.0, 0.5, 0.6], [None, "1/1s", "2/1min"]),
        ("1/1s,2/1d", [0.0, 10.0, 20.0], [None, None, "2/1d"]),
    ],
)
def test_a_call_is_judged_by_its_arrival(limits: str, arrivals: list[float], broken: list[str | None]) -> None:
    assert judged(limits, arrivals) == broken


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=60).map(sorted))
def test_the_judgement_is_that_of_the_definition(tenths: list[int]) -> None:
    arrivals = [tenth / 10 for tenth in tenths]
    nth_before_is_young = [i >= 5 and tenths[i] - tenths[i - 5] < 600 for i in range(len(tenths))]

    assert [rule is not None for rule in judged("5/1min", arrivals)] == nth_before_is_young


def test_counters_have_the_total_the_violations_and_the_fullest_window() -> None:
    log = CallLog(parse_limits("1/1s,3/1min", "limits"))
    for at in (0.0, 0.5, 10.0, 20.0, 100.0):
        _record(log, at)
    report = log.report()

    assert (5, 2) == (report["total"], report["over_limit"])
    assert {"1/1s": 1, "3/1min": 1} == report["by_rule"]
    assert {"1/1s": 2, "3/1min": 4} == report["max_in_window"]


def test_only_the_latest_calls_are_kept_while_counters_stay_exact() -> None:
    log = CallLog(parse_limits("1/1s", "limits"), max_calls=3)
    for at in range(10):
        log.record(at / 10, NOON, function="GLOBAL_QUOTE", symbol=f"S{at}")

    assert 10 == log.report()["total"]
    assert 9 == log.report()["over_limit"]
    assert ["S7", "S8", "S9"] == symbols(log, 0)
    assert ["S8", "S9"] == symbols(log, 8)
    assert [] == symbols(log, 10)


def symbols(log: CallLog, since: int) -> list[str]:
    calls = log.report(since)["calls"]
    assert isinstance(calls, list)
    return [call["symbol"] for call in calls]


def test_new_limits_see_the_arrivals_of_the_past_but_do_not_judge_them_again() -> None:
    log = CallLog(parse_limits("100/1s", "limits"))
    for at in (0.0, 0.1, 0.2):
        _record(log, at)
    log.set_limits(parse_limits("2/1min", "limits"))

    assert 0 == log.report()["over_limit"]
    assert {"100/1s": 3, "2/1min": 3} == log.report()["max_in_window"]
    assert "2/1min" == _record(log, 30.0)


def test_a_cleared_log_starts_anew() -> None:
    log = CallLog(parse_limits("1/1min", "limits"))
    _record(log, 0.0)
    log.clear()

    assert _record(log, 1.0) is None
    assert 1 == log.report()["total"]
