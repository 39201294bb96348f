"""How a call can end, and what follows for the ledger, the queue and the symbol."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from enum import StrEnum

from common.core.calendar.trading_day import NEW_YORK
from common.core.limits import DAY, MINUTE, Rule

FIRST_QUARANTINE = timedelta(minutes=5)
RETRY_AFTER = "retry_after"  # the reason of a hold whose length the provider named


class Outcome(StrEnum):
    """The values of `calls.outcome`. A call without one is in flight, or its process died."""

    OK = "ok"
    UNSENT = "unsent"
    UNAVAILABLE = "unavailable"
    NOT_ENTITLED = "not_entitled"
    THROTTLED_SECOND = "throttled_second"
    THROTTLED_MINUTE = "throttled_minute"
    BAD_KEY = "bad_key"
    DAY_USED_UP = "day_used_up"
    BAD_REQUEST = "bad_request"
    UNKNOWN_NOTICE = "unknown_notice"
    NO_DATA = "no_data"


THROTTLES = frozenset({Outcome.THROTTLED_SECOND, Outcome.THROTTLED_MINUTE, Outcome.DAY_USED_UP})
TRANSIENT = frozenset({Outcome.UNAVAILABLE, Outcome.UNSENT, Outcome.UNKNOWN_NOTICE})
BLAMES_SYMBOL = frozenset({Outcome.NO_DATA, Outcome.BAD_REQUEST})
NO_ANSWER = frozenset(
    {Outcome.UNAVAILABLE, Outcome.UNSENT, Outcome.UNKNOWN_NOTICE, Outcome.BAD_KEY}
)  # several in a row close the gate


@dataclass(frozen=True, slots=True)
class Hold:
    """No call before `until`. `probing`: after that one call goes, and all others wait for its outcome."""

    until: datetime
    reason: str
    probing: bool


def hold_after(outcome: Outcome, limits: tuple[Rule, ...], now: datetime, wait: timedelta | None = None) -> Hold | None:
    """The hold after a throttle: until its window has passed. `now`: the ledger's time of the response. `wait`: from `Retry-After`, which
    counts if it is longer than a minute, up to a day. None if the outcome is no throttle."""
    if outcome not in THROTTLES:
        return None
    if wait is not None and wait > MINUTE:
        return Hold(now + min(wait, DAY), RETRY_AFTER, probing=False)
    if outcome is Outcome.DAY_USED_UP:
        return Hold(next_quota_day(now), outcome, probing=True)
    short = [rule.period for rule in limits if rule.period < MINUTE]
    window = max([*short, timedelta(seconds=1)]) if outcome is Outcome.THROTTLED_SECOND else MINUTE
    return Hold(now + window, outcome, probing=False)


def next_quota_day(now: datetime) -> datetime:
    """The next midnight in UTC or in New York, whichever is later: the provider does not document which one it uses."""
    return max(_next_midnight(now, UTC), _next_midnight(now, NEW_YORK))


def _next_midnight(now: datetime, zone: tzinfo) -> datetime:
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), zone).astimezone(UTC)
