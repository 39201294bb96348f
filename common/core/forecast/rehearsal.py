"""A budget that nobody uses yet, with so many symbols: what the forecast would tell the readers of a session. For `quotewell plan`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import fsum, log, sqrt

from common.core.forecast.promises import Forecast, forecast
from common.core.forecast.situation import Request, Situation, Span, Wanted, Window
from common.core.limits import DAY, Rule
from common.core.models import CallClass, Function

SOME_DAY = datetime(2026, 1, 2, 15, tzinfo=UTC)
GOLDEN = (sqrt(5) - 1) / 2  # its multiples spread ages evenly
LEVEL_STEP = 1.5  # between two levels (the column symbols.level)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What is expected of each symbol by its rank, and of somebody's first quote."""

    seen: Forecast
    ages: Sequence[float]
    roots: Sequence[float]
    first_quote: timedelta

    def every(self, rank: int) -> timedelta:
        """Between two refreshes of the symbol of a rank, from 1 on: its age and the time until its next refresh."""
        at = self.seen.refreshed.get(str(rank - 1))
        if at is None:
            return timedelta(seconds=self.seen.period / self.roots[rank - 1])
        return timedelta(seconds=self.ages[rank - 1]) + (at - self.seen.made_at)


def rehearse(weights: Sequence[float], limits: Sequence[Rule], gap: timedelta) -> Rehearsal:
    """In the middle of a session with a background call every `gap`; ages are as the square-root law has them."""
    roots = [sqrt(weight) for weight in weights]
    period = fsum(roots) * gap.total_seconds()
    ages = [period / root * (n * GOLDEN % 1.0) for n, root in enumerate(roots)]
    clock = max(ages) + 1.0
    wanted = [
        Wanted(str(n), weight, int(log(max(1.0, weight)) / log(LEVEL_STEP)), clock - ages[n])
        for n, weight in enumerate(weights)
    ]
    windows = [_in_use(rule, gap) for rule in limits]
    spans = (Span(SOME_DAY, None, gap, 2, clock, runs=True),)
    situation = Situation(SOME_DAY, windows, spans=spans, background_at=SOME_DAY, wanted=wanted)
    somebody = Request(Function.QUOTE, "first", CallClass.USER, SOME_DAY)
    waits = forecast(Situation(SOME_DAY, windows, queue=[somebody], spans=spans, background_at=SOME_DAY, backlog=1))
    return Rehearsal(forecast(situation), ages, roots, waits.served[somebody.key] - SOME_DAY)


def _in_use(rule: Rule, gap: timedelta) -> Window:
    """As background's pace keeps it busy; of a day's calls none is spent."""
    if rule.period >= DAY:
        return Window(rule.calls, rule.period)
    used = min(rule.calls, int(rule.period / gap))
    return Window(
        rule.calls, rule.period, None, used, [SOME_DAY + rule.period - n * gap for n in reversed(range(used))]
    )
