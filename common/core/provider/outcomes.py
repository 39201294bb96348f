"""How a call can end, and what follows from it for the ledger, the line and the symbol. It does not read bodies."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from enum import StrEnum

from common.core.calendar.trading_day import NEW_YORK
from common.core.limits import DAY, MINUTE, Rule

FIRST_QUARANTINE = timedelta(minutes=5)
RETRY_AFTER = "retry_after"  # a hold of the length that the provider named


class Outcome(StrEnum):
    """The journal's words; a row without one is in flight, or its process died."""

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
)  # they close the gate


@dataclass(frozen=True, slots=True)
class Hold:
    """No call before `until`; `probing`: then one call alone, and the rest wait for its outcome."""

    until: datetime
    reason: str
    probing: bool


def hold_after(outcome: Outcome, limits: tuple[Rule, ...], now: datetime, wait: timedelta | None = None) -> Hold | None:
    """What a throttle asks for: silence until its window has passed. `now` is the ledger's time of the response; `wait` is how long the
    provider said, which is believed from a minute to a day."""
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
    """The later of the next UTC and the next New York midnight: the provider does not say which one it means."""
    return max(_next_midnight(now, UTC), _next_midnight(now, NEW_YORK))


def _next_midnight(now: datetime, zone: tzinfo) -> datetime:
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), zone).astimezone(UTC)
