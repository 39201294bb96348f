"""Which calls go wrong: the fault that is set, and whether it hits a call. How it looks is `wire_faults`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from common.errors import InvalidRequest
from simulator.wire_faults import KINDS, NOTICE, RETRY_AFTER_KINDS, TOO_MANY

# kinds of which each call gets another one
MIXED: Mapping[str, Sequence[str]] = {
    "any": KINDS,
    "notice:any": [kind for kind in KINDS if kind.startswith(NOTICE)],
    "broken": [kind for kind in KINDS if not kind.startswith(NOTICE) and kind != TOO_MANY],
}
MAX_DELAY = 3600  # seconds


@dataclass(frozen=True, slots=True)
class Fault:
    """`count` calls go wrong (None: all), each with `probability`, if function and symbol match (None: any). `delay` is in seconds.

    A kind in MIXED is drawn anew for each call. `retry_after` is the value of that header, any text; for RETRY_AFTER_KINDS only.
    """

    kind: str
    count: int | None = None
    probability: float = 1.0
    function: str | None = None
    symbol: str | None = None
    delay: float = 0.0
    retry_after: str | None = None

    def matches(self, function: str, symbols: str) -> bool:
        """`symbols` is one symbol or a bulk call's list with commas."""
        return self.function in (None, function) and (self.symbol is None or self.symbol in symbols.split(","))


def read_fault(body: object) -> Fault:
    """Read the JSON of `PUT /_fault`; raises InvalidRequest."""
    names = [field.name for field in fields(Fault)]
    if not isinstance(body, dict) or not set(body) <= set(names):
        raise InvalidRequest(f"expected a JSON object with {', '.join(names)}")
    fault = Fault(**{"kind": None, **body})
    for name, expected, good in _checks(fault):
        if not good:
            raise InvalidRequest(f"{name}: expected {expected}, not {getattr(fault, name)!r}")
    return fault


def _checks(fault: Fault) -> Sequence[tuple[str, str, bool]]:
    """Each field, what is expected of it, and whether that is so. Types too: the values come from JSON."""
    kinds, retried = (*KINDS, *MIXED), ", ".join(RETRY_AFTER_KINDS)
    return (
        ("kind", f"one of {', '.join(kinds)}", fault.kind in kinds),
        (
            "count",
            "a whole number over 0 or null",
            fault.count is None or (type(fault.count) is int and fault.count > 0),
        ),
        ("probability", "a number from 0 to 1", _is_number(fault.probability, 1)),
        ("delay", f"0 to {MAX_DELAY} seconds", _is_number(fault.delay, MAX_DELAY)),
        ("function", "a string or null", isinstance(fault.function, str | None)),
        ("symbol", "a string or null", isinstance(fault.symbol, str | None)),
        (
            "retry_after",
            f"printable text, with one of {retried}",
            fault.retry_after is None or (_is_header(fault.retry_after) and fault.kind in RETRY_AFTER_KINDS),
        ),
    )


def _is_header(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable()


def _is_number(value: object, highest: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= highest


class FaultInjector:
    """The fault that is set and how often it may still hit (`left`). `random` gives numbers from 0 up to 1."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self.set(None)

    def set(self, fault: Fault | None) -> None:
        self.fault = fault
        self.left = fault.count if fault else None

    def draw(self, function: str, symbols: str) -> Fault | None:
        """The fault that hits this call, if one does; a hit counts."""
        fault = self.fault
        if fault is None or not fault.matches(function, symbols) or self._random() >= fault.probability:
            return None
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                self.set(None)
        kinds = MIXED.get(fault.kind, [fault.kind])
        return replace(fault, kind=kinds[int(self._random() * len(kinds))] if len(kinds) > 1 else fault.kind)
