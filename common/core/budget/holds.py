"""When the gate closes for a failing provider, and when the next probe goes."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from common.core.limits import DAY, Rule
from common.core.provider.outcomes import Hold, Outcome

SMALL_QUOTA = 100  # calls a day: below it, two failures in a row close the gate and failures may use a fifth; otherwise three, and a tenth
MIN_HOLD, MAX_HOLD = timedelta(seconds=15), timedelta(minutes=15)
MAX_UNSENT_HOLD = timedelta(minutes=1)  # requests that were never written cost no call, so probe soon
MAX_DAY_HOLD = timedelta(hours=4)
PROVIDER_DOWN = "provider_down"
GATE_REASONS = frozenset({PROVIDER_DOWN, Outcome.BAD_KEY.value})


@dataclass(frozen=True, slots=True)
class Failures:
    """Calls without an answer: how many in a row, how many a day's rule still counts, and when the oldest of those ended."""

    in_a_row: int
    counted: int = 0
    oldest_ends_at: datetime | None = None


def hold_after_failure(outcome: Outcome, limits: tuple[Rule, ...], failures: Failures, now: datetime) -> Hold | None:
    """The hold after a call without an answer; it ends with a probe. None: the gate stays open. `now`: the ledger's time."""
    beyond = failures.in_a_row - closes_after(limits)
    wait = _doubled(MIN_HOLD, beyond, MAX_HOLD)
    if outcome is Outcome.BAD_KEY:
        return Hold(_stretched(now, MAX_HOLD, limits, failures), outcome, probing=True)
    if beyond < 0:
        return None
    if outcome is Outcome.UNSENT:
        return Hold(now + min(MAX_UNSENT_HOLD, wait), PROVIDER_DOWN, probing=True)
    return Hold(_stretched(now, wait, limits, failures), PROVIDER_DOWN, probing=True)


def hold_without_day(failures: int, now: datetime) -> Hold:
    """The hold after "day used up" without a rule of a day: 15 minutes, doubling to four hours."""
    return Hold(now + _doubled(MAX_HOLD, failures - 1, MAX_DAY_HOLD), Outcome.DAY_USED_UP, probing=True)


def closes_after(limits: tuple[Rule, ...]) -> int:
    """How many calls in a row without an answer close the gate."""
    quota = _quota(limits)
    return 2 if quota is not None and quota.calls < SMALL_QUOTA else 3


def most_failures(quota: Rule) -> int:
    """The most calls of a day's rule that failures may use."""
    return max(1, quota.calls // (5 if quota.calls < SMALL_QUOTA else 10))


def _doubled(first: timedelta, times: int, longest: timedelta) -> timedelta:
    return min(first * (1 << min(max(0, times), 10)), longest)


def _stretched(now: datetime, wait: timedelta, limits: tuple[Rule, ...], failures: Failures) -> datetime:
    """When a hold ends.

    The fewer failures the day has left, the longer: with three left 30 minutes, with two 2 hours, with one 4; with none, until the oldest
    failure no longer counts.
    """
    if (quota := _quota(limits)) is None:
        return now + wait
    left = most_failures(quota) - failures.counted
    if left <= 0:
        free = (failures.oldest_ends_at or now) + quota.period
        return max(free, now + wait)
    return now + max(wait, quota.period / ((6 if left < 3 else 16) * left))


def _quota(limits: tuple[Rule, ...]) -> Rule | None:
    return next((rule for rule in limits if rule.period >= DAY), None)
