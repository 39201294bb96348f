from random import Random
from typing import Any

import pytest

from simulator.faults import MIXED, Fault, FaultBox, WrongFault, fault_from


def always() -> float:
    return 0.0


def test_a_fault_strikes_as_often_as_it_was_told() -> None:
    box = FaultBox(always)
    box.put(Fault("html_200", count=2))
    struck = [box.strike("GLOBAL_QUOTE", "IBM") is not None for _ in range(3)]

    assert [True, True, False] == struck
    assert box.fault is None


def test_a_fault_without_a_count_strikes_until_it_is_cleared() -> None:
    box = FaultBox(always)
    box.put(Fault("html_200"))
    struck = [box.strike("GLOBAL_QUOTE", "IBM") for _ in range(50)]
    box.clear()

    assert all(struck)
    assert box.strike("GLOBAL_QUOTE", "IBM") is None


@pytest.mark.parametrize(
    ("fault", "function", "symbols", "fits"),
    [
        (Fault("hang", function="GLOBAL_QUOTE"), "GLOBAL_QUOTE", "IBM", True),
        (Fault("hang", function="GLOBAL_QUOTE"), "MARKET_STATUS", "", False),
        (Fault("hang", symbol="IBM"), "GLOBAL_QUOTE", "IBM", True),
        (Fault("hang", symbol="IBM"), "GLOBAL_QUOTE", "IBMX", False),
        (Fault("hang", symbol="IBM"), "REALTIME_BULK_QUOTES", "AAPL,IBM", True),
    ],
)
def test_a_fault_hits_only_what_it_aims_at(fault: Fault, function: str, symbols: str, fits: bool) -> None:
    assert fault.fits(function, symbols) == fits


def test_a_probable_fault_strikes_by_chance_and_a_miss_uses_nothing_up() -> None:
    chances = iter([0.9, 0.1, 0.5])
    box = FaultBox(lambda: next(chances))
    box.put(Fault("html_200", count=2, probability=0.5))

    assert [False, True, False] == [box.strike("F", "") is not None for _ in range(3)]
    assert 1 == box.left


@pytest.mark.parametrize("mixed", MIXED)
def test_a_mixed_fault_is_each_of_its_kinds_in_time(mixed: str) -> None:
    box = FaultBox(Random(1).random)
    box.put(Fault(mixed))
    struck = {fault.kind for _ in range(1000) if (fault := box.strike("F", ""))}

    assert set(MIXED[mixed]) == struck


def test_a_throttling_status_is_no_breakage() -> None:
    assert "http_429" in MIXED["any"]
    assert not {"http_429", *MIXED["notice:any"]} & set(MIXED["broken"])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, "expected a JSON object"),
        ({"kind": "hang", "often": 1}, "expected a JSON object with kind, count"),
        ({}, "kind: expected one of notice:throttled_second.*hang.*not None"),
        ({"kind": "melt"}, "not 'melt'"),
        ({"kind": "hang", "count": 0}, "count: expected"),
        ({"kind": "hang", "count": True}, "count: expected"),
        ({"kind": "hang", "probability": 2}, "probability: expected"),
        ({"kind": "hang", "probability": "1"}, "probability: expected"),
        ({"kind": "hang", "delay": -1}, "delay: expected"),
        ({"kind": "hang", "symbol": 5}, "symbol: expected"),
        ({"kind": "http_429", "retry_after": 30}, "retry_after: expected printable text"),
        ({"kind": "http_429", "retry_after": "30\r\nX-More: 1"}, "retry_after: expected printable text"),
        ({"kind": "http_429", "retry_after": "später"}, "retry_after: expected printable text"),
        ({"kind": "html_200", "retry_after": "30"}, "retry_after: expected .*http_429, http_503"),
        ({"kind": "any", "retry_after": "30"}, "retry_after: expected"),
    ],
)
def test_a_wrong_fault_is_refused_with_what_was_expected(body: Any, message: str) -> None:
    with pytest.raises(WrongFault, match=message):
        fault_from(body)
