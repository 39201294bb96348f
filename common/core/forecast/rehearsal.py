"""A forecast for an unused budget and a number of symbols, in a session. For `quotewell plan`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import fsum, log, sqrt

from common.core.forecast.promises import Forecast, forecast
from common.core.forecast.situation import Request, Situation, Span, Tracked, Window
from common.core.limits import DAY, Rule
from common.core.models import CallClass, Function

SOME_DAY = datetime(2026, 1, 2, 15, tzinfo=UTC)
GOLDEN = (sqrt(5) - 1) / 2  # the fractional parts of its multiples are evenly spread, here over ages
LEVEL_STEP = 1.5  # the ratio of weights between two levels (the column symbols.level)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The expected refreshes of each symbol by rank, and how long a first quote takes."""

    seen: Forecast
    ages: Sequence[float]
    roots: Sequence[float]
    first_quote: timedelta

    def every(self, rank: int) -> timedelta:
        """The time between two refreshes of the symbol of a rank, counted from 1."""
        at = self.seen.refreshed.get(str(rank - 1))
        if at is None:
            return timedelta(seconds=self.seen.period / self.roots[rank - 1])
        return timedelta(seconds=self.ages[rank - 1]) + (at - self.seen.made_at)


def rehearse(weights: Sequence[float], limits: Sequence[Rule], gap: timedelta) -> Rehearsal:
    """Forecast from the middle of a session, with a background call every `gap` and ages by the square-root law."""
    roots = [sqrt(weight) for weight in weights]
    period = fsum(roots) * gap.total_seconds()
    ages = [period / root * (n * GOLDEN % 1.0) for n, root in enumerate(roots)]
    clock = max(ages) + 1.0
    tracked = [
        Tracked(str(n), weight, int(log(max(1.0, weight)) / log(LEVEL_STEP)), clock - ages[n])
        for n, weight in enumerate(weights)
    ]
    windows = [_in_use(rule, gap) for rule in limits]
    spans = (Span(SOME_DAY, None, gap, 2, clock, runs=True),)
    situation = Situation(SOME_DAY, windows, spans=spans, background_at=SOME_DAY, tracked=tracked)
    somebody = Request(Function.QUOTE, "first", CallClass.USER, SOME_DAY)
    waits = forecast(Situation(SOME_DAY, windows, queue=[somebody], spans=spans, background_at=SOME_DAY, backlog=1))
    return Rehearsal(forecast(situation), ages, roots, waits.served[somebody.key] - SOME_DAY)


def _in_use(rule: Rule, gap: timedelta) -> Window:
    """A rule's window as background's pace uses it; a day's quota is unused."""
    if rule.period >= DAY:
        return Window(rule.calls, rule.period)
    used = min(rule.calls, int(rule.period / gap))
    return Window(
        rule.calls, rule.period, None, used, [SOME_DAY + rule.period - n * gap for n in reversed(range(used))]
    )
