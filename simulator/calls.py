"""Every call that arrived, and the limits that each broke: judged by the time of arrival, refused calls included. It never sees a key."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice

from common.core.limits import Rule

MAX_CALLS = 200_000


@dataclass(slots=True)
class Call:
    """One arrival, at `at` seconds. `outcome` and `answered` become known later: `answered` once the last byte is with the network."""

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

    def add(self, at: float) -> int:
        """Add an arrival and return how many the window now has. An arrival that is exactly a period old has left it."""
        # nanoseconds: 1060.1 - 1000.1 is a hair under 60
        while self._arrivals and round(at - self._arrivals[0], 9) >= self._period:
            self._arrivals.popleft()
        self._arrivals.append(at)
        return len(self._arrivals)


class CallLog:
    """The journal of arrivals. Its counters are exact; of the calls themselves it has the latest `max_calls`."""

    def __init__(self, limits: Sequence[Rule], max_calls: int = MAX_CALLS) -> None:
        self.limits = tuple(limits)
        self._max_calls = max_calls
        self.clear()

    def clear(self) -> None:
        """Start anew, as if no call had ever arrived."""
        self._calls: deque[Call] = deque(maxlen=self._max_calls)
        self._total = self._over_limit = 0
        self._by_rule: Counter[str] = Counter()
        self._max_in_window: Counter[str] = Counter()
        self.set_limits(self.limits)

    def set_limits(self, limits: Sequence[Rule]) -> None:
        """Judge by other limits from now on. Past arrivals fill their windows but are not judged again."""
        self.limits = tuple(limits)
        self._windows = [Window(rule) for rule in limits]
        for window in self._windows:
            self._by_rule[str(window.rule)] += 0
            self._max_in_window[str(window.rule)] += 0
            for call in self._calls:
                self._add(window, call.at)

    def record(self, at: float, time: datetime, *, function: str, symbol: str) -> tuple[Call, Rule | None]:
        """Record an arrival. Return it with the rule that it broke: of several the one with the longest period."""
        call = Call(at, time.isoformat(), function[:64], symbol[:1000])
        self._calls.append(call)
        self._total += 1
        broken = [window.rule for window in self._windows if self._add(window, at) > window.rule.calls]
        self._over_limit += bool(broken)
        self._by_rule.update(str(rule) for rule in broken)
        return call, max(broken, key=lambda rule: rule.period, default=None)

    def report(self, since: int = 0) -> dict[str, object]:
        """The body of `GET /_calls`; `since` is the number of calls that the reader has seen."""
        skipped = max(0, since - (self._total - len(self._calls)))
        return {
            "total": self._total,
            "over_limit": self._over_limit,
            "by_rule": dict(self._by_rule),
            "max_in_window": dict(self._max_in_window),
            "calls": [asdict(call) for call in islice(self._calls, skipped, None)],
        }

    def _add(self, window: Window, at: float) -> int:
        count, rule = window.add(at), str(window.rule)
        self._max_in_window[rule] = max(self._max_in_window[rule], count)
        return count
