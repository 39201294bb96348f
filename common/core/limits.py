"""A provider's limits: rules such as `5/min`, and its plans. Counting calls is the ledger's."""

import re
from dataclasses import dataclass
from datetime import timedelta

from common.errors import InvalidSettings

UNITS = {"s": 1, "sec": 1, "min": 60, "h": 3600, "d": 86400, "day": 86400}
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
LEASE = timedelta(seconds=12)  # an unsettled call occupies its slot until the lease ends plus the rule's period
_RULE = re.compile(r"([1-9][0-9]{0,6})/([1-9][0-9]{0,5})?(s|sec|min|h|d|day)")


@dataclass(frozen=True, slots=True)
class Rule:
    """At most `calls` calls in any window of `period`."""

    calls: int
    period: timedelta

    @property
    def per_minute(self) -> float:
        return self.calls * 60 / self.period.total_seconds()

    def __str__(self) -> str:
        seconds = int(self.period.total_seconds())
        size, unit = next(
            (size, unit) for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)) if seconds % size == 0
        )
        return f"{self.calls}/{seconds // size}{unit}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A provider's plan: its rules, its data (`realtime`, `delayed` or `end_of_day`), and whether to try bulk calls."""

    limits: tuple[Rule, ...]
    data: str
    bulk: bool = False


def parse_limits(text: str, name: str) -> tuple[Rule, ...]:
    """Parse `1/2s,5/1min,25/1d`; raise `InvalidSettings` naming the setting `name`."""
    rules = tuple(_parse_rule(part.strip(), name) for part in text.split(","))
    if len({rule.period for rule in rules}) != len(rules):
        raise InvalidSettings(f"{name}: expected one rule a period, not {text!r}")
    return tuple(sorted(rules, key=lambda rule: rule.period))


def _parse_rule(text: str, name: str) -> Rule:
    match = _RULE.fullmatch(text)
    if match is None:
        raise InvalidSettings(f"{name}: expected rules such as 5/min or 1/2s,5/1min,25/1d, not {text!r}")
    calls, count, unit = match.groups()
    return Rule(int(calls), timedelta(seconds=int(count or 1) * UNITS[unit]))


def parse_duration(text: str, name: str) -> timedelta:
    """Parse `24h` or `90min`; raise `InvalidSettings` naming the argument `name`."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})(s|sec|min|h|d|day)", text.strip())
    if match is None:
        raise InvalidSettings(f"{name}: expected a duration such as 24h or 90min, not {text!r}")
    return timedelta(seconds=int(match[1]) * UNITS[match[2]])


def slowest(limits: tuple[Rule, ...]) -> Rule:
    """The rule under a day that allows the fewest calls a minute; it sets background's pace. A day's quota is handled apart."""
    return min([rule for rule in limits if rule.period < DAY] or limits, key=lambda rule: rule.per_minute)


def longest_period(limits: tuple[Rule, ...]) -> timedelta:
    return max(rule.period for rule in limits)


def slot_time(limits: tuple[Rule, ...]) -> timedelta:
    """How long a call may occupy a slot that a wrong clock shows as free: the longest rule under a day, and the lease."""
    return max((rule.period for rule in limits if rule.period < DAY), default=timedelta()) + LEASE


def _plan(limits: str, data: str, *, bulk: bool = False) -> Plan:
    return Plan(parse_limits(limits, "plan"), data, bulk)


PLANS = {
    "free": _plan("1/2s,5/1min,25/1d", "end_of_day"),
    "standard": _plan("1/1s,5/1min", "realtime"),
    "premium-75": _plan("10/1s,75/1min", "realtime", bulk=True),
    "premium-150": _plan("10/1s,150/1min", "realtime", bulk=True),
    "premium-300": _plan("20/1s,300/1min", "realtime", bulk=True),
    "premium-600": _plan("20/1s,600/1min", "realtime", bulk=True),
    "premium-1200": _plan("30/1s,1200/1min", "realtime", bulk=True),
}
