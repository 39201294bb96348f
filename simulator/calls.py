"""Every call that arrived, and which of them broke a limit: judged by the time of arrival, refused calls included. It never sees a key."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice

from common.core.limits import Rule

KEPT = 200_000


@dataclass(slots=True)
class Call:
    """One arrival. `outcome` and `answered` become known later: `answered` once the last byte is handed to the network."""

    at: float
    time: str
    function: str
    symbol: str
    outcome: str = "pending"
    answered: bool = False


class Window:
    """The arrivals of the last `period` of one rule."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._period = rule.period.total_seconds()
        self._arrivals: deque[float] = deque()

    def count(self, at: float) -> int:
        """Add an arrival and say how many the window now holds. One that is exactly a period old has left it."""
        # nanoseconds: 1060.1 - 1000.1 is a hair under 60
        while self._arrivals and round(at - self._arrivals[0], 9) >= self._period:
            self._arrivals.popleft()
        self._arrivals.append(at)
        return len(self._arrivals)


class CallLog:
    """The journal of arrivals. The counters are exact; of the calls themselves the latest `kept` are held."""

    def __init__(self, limits: Sequence[Rule], kept: int = KEPT) -> None:
        self.limits = tuple(limits)
        self._kept = kept
        self.forget()

    def forget(self) -> None:
        """Start anew, as if no call had ever arrived."""
        self._calls: deque[Call] = deque(maxlen=self._kept)
        self._total = self._over_limit = 0
        self._by_rule: Counter[str] = Counter()
        self._most: dict[str, int] = {}
        self.use(self.limits)

    def use(self, limits: Sequence[Rule]) -> None:
        """Judge by other limits from now on; arrivals of the past fill their windows but are not judged again."""
        self.limits = tuple(limits)
        self._windows = [Window(rule) for rule in limits]
        for window in self._windows:
            self._by_rule[str(window.rule)] += 0
            self._most.setdefault(str(window.rule), 0)
            for call in self._calls:
                self._count(window, call.at)

    def arrive(self, at: float, time: datetime, *, function: str, symbol: str) -> tuple[Call, Rule | None]:
        """Note an arrival; with it goes the broken rule, of several the one that holds longest."""
        call = Call(at, time.isoformat(), function[:64], symbol[:1000])
        self._calls.append(call)
        self._total += 1
        broken = [window.rule for window in self._windows if self._count(window, at) > window.rule.calls]
        self._over_limit += bool(broken)
        self._by_rule.update(str(rule) for rule in broken)
        return call, max(broken, key=lambda rule: rule.period, default=None)

    def report(self, since: int = 0) -> dict[str, object]:
        """What `GET /_calls` shows; `since` is the number of calls that the reader has seen."""
        skipped = max(0, since - (self._total - len(self._calls)))
        return {
            "total": self._total,
            "over_limit": self._over_limit,
            "by_rule": dict(self._by_rule),
            "max_in_window": dict(self._most),
            "calls": [asdict(call) for call in islice(self._calls, skipped, None)],
        }

    def _count(self, window: Window, at: float) -> int:
        held, rule = window.count(at), str(window.rule)
        self._most[rule] = max(self._most[rule], held)
        return held
