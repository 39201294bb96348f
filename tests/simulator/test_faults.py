from random import Random
from typing import Any

import pytest

from common.errors import InvalidRequest
from simulator.faults import MIXED, Fault, FaultInjector, read_fault


def always() -> float:
    return 0.0


def test_a_fault_with_a_count_hits_that_often() -> None:
    faults = FaultInjector(always)
    faults.set(Fault("html_200", count=2))
    hits = [faults.draw("GLOBAL_QUOTE", "IBM") is not None for _ in range(3)]

    assert [True, True, False] == hits
    assert faults.fault is None


def test_a_fault_without_a_count_hits_until_it_is_cleared() -> None:
    faults = FaultInjector(always)
    faults.set(Fault("html_200"))
    hits = [faults.draw("GLOBAL_QUOTE", "IBM") for _ in range(50)]
    faults.set(None)

    assert all(hits)
    assert faults.draw("GLOBAL_QUOTE", "IBM") is None


@pytest.mark.parametrize(
    ("fault", "function", "symbols", "matches"),
    [
        (Fault("hang", function="GLOBAL_QUOTE"), "GLOBAL_QUOTE", "IBM", True),
        (Fault("hang", function="GLOBAL_QUOTE"), "MARKET_STATUS", "", False),
        (Fault("hang", symbol="IBM"), "GLOBAL_QUOTE", "IBM", True),
        (Fault("hang", symbol="IBM"), "GLOBAL_QUOTE", "IBMX", False),
        (Fault("hang", symbol="IBM"), "REALTIME_BULK_QUOTES", "AAPL,IBM", True),
    ],
)
def test_a_fault_hits_only_what_it_aims_at(fault: Fault, function: str, symbols: str, matches: bool) -> None:
    assert fault.matches(function, symbols) == matches


def test_a_probable_fault_hits_by_chance_and_a_miss_does_not_count() -> None:
    chances = iter([0.9, 0.1, 0.5])
    faults = FaultInjector(lambda: next(chances))
    faults.set(Fault("html_200", count=2, probability=0.5))

    assert [False, True, False] == [faults.draw("F", "") is not None for _ in range(3)]
    assert 1 == faults.left


@pytest.mark.parametrize("mixed", MIXED)
def test_a_mixed_fault_is_each_of_its_kinds_in_time(mixed: str) -> None:
    faults = FaultInjector(Random(1).random)
    faults.set(Fault(mixed))
    hits = {fault.kind for _ in range(1000) if (fault := faults.draw("F", ""))}

    assert set(MIXED[mixed]) == hits


def test_a_throttling_status_is_not_a_broken_answer() -> None:
    assert "http_429" in MIXED["any"]
    assert not {"http_429", *MIXED["notice:any"]} & set(MIXED["broken"])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, "expected a JSON object"),
        ({"kind": "hang", "often": 1}, "expected a JSON object with kind, count"),
        ({}, "kind: expected one of notice:throttled_second.*hang.*not None"),
        ({"kind": "melt"}, "kind: expected one of .*notice:day_used_up.*http_503.*zero_price.*drip.*not 'melt'"),
        ({"kind": "hang", "count": 0}, "count: expected"),
        ({"kind": "hang", "count": True}, "count: expected"),
        ({"kind": "hang", "probability": 2}, "probability: expected"),
        ({"kind": "hang", "probability": "1"}, "probability: expected"),
        ({"kind": "hang", "delay": -1}, "delay: expected"),
        ({"kind": "hang", "function": 5}, "function: expected"),
        ({"kind": "hang", "symbol": 5}, "symbol: expected"),
        ({"kind": "http_429", "retry_after": 30}, "retry_after: expected printable text"),
        ({"kind": "http_429", "retry_after": "30\r\nX-More: 1"}, "retry_after: expected printable text"),
        ({"kind": "http_429", "retry_after": "später"}, "retry_after: expected printable text"),
        ({"kind": "html_200", "retry_after": "30"}, "retry_after: expected .*http_429, http_503"),
        ({"kind": "any", "retry_after": "30"}, "retry_after: expected"),
    ],
)
def test_a_wrong_fault_is_refused_with_what_was_expected(body: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        read_fault(body)
