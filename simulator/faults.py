"""Which calls go wrong: the fault that is set now and whether it strikes. How it looks is `breakage`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from simulator.breakage import KINDS, NOTICE, REFUSING, TOO_MANY

# kinds that are another one at each strike
MIXED: Mapping[str, Sequence[str]] = {
    "any": KINDS,
    "notice:any": [kind for kind in KINDS if kind.startswith(NOTICE)],
    "broken": [kind for kind in KINDS if not kind.startswith(NOTICE) and kind != TOO_MANY],
}


class WrongFault(Exception):
    """Send what the message asks for."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`count` calls go wrong (None: all), each with `probability`, if function and symbol fit (None: any). `delay` is in seconds.

    A kind in MIXED is drawn anew for each call. `retry_after` is the header of that name, whatever it may say; for kinds in REFUSING.
    """

    kind: str
    count: int | None = None
    probability: float = 1.0
    function: str | None = None
    symbol: str | None = None
    delay: float = 0.0
    retry_after: str | None = None

    def fits(self, function: str, symbols: str) -> bool:
        """`symbols` is one symbol or a bulk call's list with commas."""
        return self.function in (None, function) and (self.symbol is None or self.symbol in symbols.split(","))


def fault_from(body: object) -> Fault:
    """Read the JSON of `PUT /_fault`; raises WrongFault."""
    names = [field.name for field in fields(Fault)]
    if not isinstance(body, dict) or not set(body) <= set(names):
        raise WrongFault(f"expected a JSON object with {', '.join(names)}")
    if body.get("kind") not in (*KINDS, *MIXED):
        raise WrongFault(f"kind: expected one of {', '.join((*KINDS, *MIXED))}, not {body.get('kind')!r}")
    fault = Fault(**body)
    _check(fault)
    return fault


def _check(fault: Fault) -> None:
    if fault.count is not None and not (type(fault.count) is int and fault.count > 0):
        raise WrongFault(f"count: expected a whole number over 0 or null, not {fault.count!r}")
    if not (_is_number(fault.probability) and 0 <= fault.probability <= 1):
        raise WrongFault(f"probability: expected a number from 0 to 1, not {fault.probability!r}")
    if not (_is_number(fault.delay) and 0 <= fault.delay <= 3600):
        raise WrongFault(f"delay: expected 0 to 3600 seconds, not {fault.delay!r}")
    for name, value in (("function", fault.function), ("symbol", fault.symbol)):
        if not (value is None or isinstance(value, str)):
            raise WrongFault(f"{name}: expected a string or null, not {value!r}")
    if not (fault.retry_after is None or (_is_header(fault.retry_after) and fault.kind in REFUSING)):
        expected = f"printable text, with one of {', '.join(REFUSING)}"
        raise WrongFault(f"retry_after: expected {expected}, not {fault.retry_after!r}")


def _is_header(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class FaultBox:
    """The fault of the moment and how often it may still strike. `chance` gives numbers from 0 to 1."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self.clear()

    def clear(self) -> None:
        self.put(None)

    def put(self, fault: Fault | None) -> None:
        self.fault = fault
        self.left = fault.count if fault else None

    def strike(self, function: str, symbols: str) -> Fault | None:
        """The fault that hits this call, if one does; a hit is used up."""
        fault = self.fault
        if fault is None or not fault.fits(function, symbols) or self._chance() >= fault.probability:
            return None
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                self.clear()
        return replace(fault, kind=self._drawn(fault.kind))

    def _drawn(self, kind: str) -> str:
        kinds = MIXED.get(kind, [kind])
        return kinds[int(self._chance() * len(kinds))] if len(kinds) > 1 else kind
