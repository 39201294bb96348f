"""The record of a simulated day, and the figures that are read off it: calls in windows, ages on the market's clock."""

import itertools
from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from common.core.calendar.clock import Calendar
from common.core.limits import Rule
from common.core.models import CallClass, Function
from common.core.provider.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class Call:
    """One call: the provider saw it between `at`, its grant, and `ended`, its response."""

    at: datetime
    ended: datetime
    function: Function
    subjects: tuple[str, ...]
    call_class: CallClass
    outcome: Outcome


@dataclass(slots=True)
class Record:
    """What happened, in order. `weights` are the watchers; `since` is the market clock at which all symbols were last refreshed."""

    calls: list[Call] = field(default_factory=list)
    weights: dict[str, int] = field(default_factory=dict)
    since: float = 0.0

    def between(self, since: datetime, until: datetime) -> list[Call]:
        return [call for call in self.calls if since <= call.at < until]

    def asked(self, since: datetime, until: datetime) -> list[str]:
        """The symbols of single calls in their order; a bulk call's follow one another."""
        return [subject for call in self.between(since, until) for subject in call.subjects]

    def age(
        self,
        calendar: Calendar,
        since: datetime,
        until: datetime,
        *,
        only: Collection[str] | None = None,
        answered: bool = False,
    ) -> float:
        """The read-weighted mean age in minutes of open time since the last attempt, or the last one that was `answered`."""
        ages = self.ages(calendar, since, until, answered=answered)
        wanted = self.weights if only is None else only
        return sum(self.weights[s] * ages[s][0] for s in wanted) / sum(self.weights[s] for s in wanted)

    def worst_age(self, calendar: Calendar, since: datetime, until: datetime) -> float:
        """The oldest that any symbol got to be, in minutes of open time."""
        ages = self.ages(calendar, since, until)
        return max(ages[symbol][1] for symbol in self.weights)

    def ages(
        self, calendar: Calendar, since: datetime, until: datetime, *, answered: bool = False
    ) -> dict[str, tuple[float, float]]:
        """Of each symbol its mean and its greatest age."""
        seen = {symbol: [self.since] for symbol in self.weights}
        for call in self.calls:
            if call.at < until and (not answered or call.outcome is Outcome.OK):
                for symbol in seen.keys() & set(call.subjects):
                    seen[symbol].append(calendar.clock(call.at))
        first, last = calendar.clock(since), calendar.clock(until)
        return {symbol: mean_and_greatest(clocks, first, last) for symbol, clocks in seen.items()}


def mean_and_greatest(refreshed: Sequence[float], since: float, until: float) -> tuple[float, float]:
    """Age in minutes over [since, until]: it is 0 at each refresh and grows second by second."""
    area = greatest = 0.0
    for start, end in itertools.pairwise([*refreshed, until]):
        if end > since:
            young, old = max(start, since) - start, end - start
            area += (old * old - young * young) / 2
            greatest = max(greatest, old)
    return area / (until - since) / 60, greatest / 60


def most_in(rule: Rule, calls: Sequence[Call]) -> int:
    """The most calls in any window of a rule's period, wherever between grant and response the provider counts each."""
    ends = sorted(call.ended for call in calls)
    return max((n - bisect_right(ends, call.at - rule.period) for n, call in enumerate(calls, 1)), default=0)


def over_limit(limits: Sequence[Rule], calls: Sequence[Call]) -> dict[str, int]:
    """The rules that were broken, with the most calls in one of their windows."""
    most = {rule: most_in(rule, calls) for rule in limits}
    return {str(rule): count for rule, count in most.items() if count > rule.calls}
