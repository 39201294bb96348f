"""Whose calls they are: how much of each of the provider's rules a group of calls may take. It counts nothing; the journal does.

A call counts for the groups that it was queued with (db/functions/groups_of.sql). On a rule under a day a ceiling binds only while somebody
else wants the slot; on one of a day or longer always, for tonight's prices are due though it is noon.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from common.core.limits import DAY, MINUTE, Rule, slowest

UNLISTED = 0.2  # of a rule: symbols that the listing lacks and that do not exist, asked for on credit
UNWATCHED = 0.3  # of a minute: refreshes of what nobody watches, while somebody watches something
QUARTER = 4  # one requester has at most a quarter of its class's share of a day; what nobody watches, of background's


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of a rule, above 0 and below 1: of all that somebody waits for, of strangers, and of what may be wasted."""

    waiting: float = 0.8
    stranger: float = 0.2
    trial: float = 0.05


@dataclass(frozen=True, slots=True)
class Ceiling:
    """A group has at most `calls` calls in any `period`."""

    group: str
    calls: int
    period: timedelta


def ceilings(limits: tuple[Rule, ...], shares: Shares, *, reserve: float, quoted: int) -> tuple[Ceiling, ...]:
    """The ceilings on every rule of a minute or longer.

    `reserve`: the share of a day's quota that background leaves for who waits. `quoted`: wanted symbols that have a quote, whose refresh
    takes up to half of a day before first quotes do.
    """
    found: list[Ceiling] = []
    for rule in limits:
        if rule.period >= DAY:
            found += _of_a_day(rule, shares, reserve, quoted)
        elif rule.period >= MINUTE:
            found += _of_a_minute(rule, shares)
    return tuple(found)


def _of_a_minute(rule: Rule, shares: Shares) -> list[Ceiling]:
    """Where a twentieth is less than a call, it is one call in a longer time."""
    stretch = max(1.0, 1 / (shares.trial * rule.calls))
    return [
        Ceiling("waiting", _part(rule, shares.waiting), rule.period),
        Ceiling("stranger", _part(rule, shares.stranger), rule.period),
        Ceiling("trial", _part(rule, shares.trial), min(rule.period * stretch, DAY - timedelta(seconds=1))),
        Ceiling("unlisted", _part(rule, UNLISTED), rule.period),
        Ceiling("unwatched", _part(rule, UNWATCHED), rule.period),
    ]


def _of_a_day(rule: Rule, shares: Shares, reserve: float, quoted: int) -> list[Ceiling]:
    half = rule.calls // 2
    return [
        Ceiling("waiting", max(1, half), rule.period),
        Ceiling("stranger", _part(rule, shares.stranger), rule.period),
        Ceiling("trial", _part(rule, shares.trial), rule.period),
        Ceiling("unlisted", _part(rule, UNLISTED), rule.period),
        Ceiling("first", max(1, rule.calls - min(half, quoted)), rule.period),
        Ceiling("unwatched", max(1, int(rule.calls * (1 - reserve)) // QUARTER), rule.period),
    ]


def chart_ceiling(limits: tuple[Rule, ...], *, reserve: float, quoted: int) -> tuple[Ceiling, ...]:
    """What refreshing charts may take of a day's quota: a tenth at most, and no more than it has beyond what is kept for who waits
    (`reserve`, as a share) and for tonight's refresh of each of the `quoted` symbols. It counts with what somebody waits for."""
    return tuple(
        Ceiling("chart", max(0, min(rule.calls // 10, rule.calls - int(reserve * rule.calls) - quoted)), rule.period)
        for rule in limits
        if rule.period >= DAY
    )


def _part(rule: Rule, share: float) -> int:
    return max(1, int(share * rule.calls))


def most_of_one(limits: tuple[Rule, ...], shares: Shares) -> Mapping[str, int]:
    """The calls of its class that one requester may have in the longest period, by class; nothing where no rule is that long."""
    quota = next((rule for rule in limits if rule.period >= DAY), None)
    if quota is None:
        return {}
    return {
        "user": max(1, quota.calls // 2 // QUARTER),
        "stranger": max(1, _part(quota, shares.stranger) // QUARTER),
    }


def misses_a_minute(limits: tuple[Rule, ...]) -> int:
    """The symbols that one requester may have asked for within a minute: three, or a twentieth of what is allowed."""
    return max(3, int(slowest(limits).per_minute / 20))
