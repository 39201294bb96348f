"""Ceilings: the share of each of the provider's rules that a group of calls may take. The ledger counts the calls.

A call counts for the groups that it was queued with (db/functions/groups_of.sql). A ceiling on a rule under a day binds only while other
requests want the slot; one on a rule of a day or longer binds always, because the slots are needed later for tonight's closing prices.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from common.core.limits import DAY, MINUTE, Rule, slowest

UNLISTED = 0.2  # of a rule: unlisted symbols, called for on a user's credit, that turn out not to exist
UNWATCHED = 0.3  # of a minute: refreshes of unwatched symbols, while any symbol is watched
QUARTER = 4  # one requester gets at most a quarter of its class's share of a day; unwatched symbols, of background's


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of a rule, above 0 and below 1: for all waiting requests, for strangers, and for calls that may be wasted."""

    waiting: float = 0.8
    stranger: float = 0.2
    trial: float = 0.05


@dataclass(frozen=True, slots=True)
class Ceiling:
    """A group gets at most `calls` calls in any `period`."""

    group: str
    calls: int
    period: timedelta


def ceilings(limits: tuple[Rule, ...], shares: Shares, *, reserve: float, quoted: int) -> tuple[Ceiling, ...]:
    """The ceilings on every rule of a minute or longer.

    `reserve`: the share of a day's quota that background leaves for waiting requests. `quoted`: the number of tracked symbols with a quote;
    refreshing them takes precedence over first quotes for up to half of the quota.
    """
    found: list[Ceiling] = []
    for rule in limits:
        if rule.period >= DAY:
            found += _of_a_day(rule, shares, reserve, quoted)
        elif rule.period >= MINUTE:
            found += _of_a_minute(rule, shares)
    return tuple(found)


def _of_a_minute(rule: Rule, shares: Shares) -> list[Ceiling]:
    """If the trial share of a minute is less than one call, it is one call in a longer period."""
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
    """The ceiling of chart refreshes on a day's quota: a tenth, and no more than is left after `reserve`, a share for waiting requests, and
    tonight's refresh of each of the `quoted` symbols. Chart calls count for the group `waiting` too."""
    return tuple(
        Ceiling("chart", max(0, min(rule.calls // 10, rule.calls - int(reserve * rule.calls) - quoted)), rule.period)
        for rule in limits
        if rule.period >= DAY
    )


def _part(rule: Rule, share: float) -> int:
    return max(1, int(share * rule.calls))


def most_of_one(limits: tuple[Rule, ...], shares: Shares) -> Mapping[str, int]:
    """The most calls of a class that one requester may have in the longest period, by class; empty without a rule of a day or longer."""
    quota = next((rule for rule in limits if rule.period >= DAY), None)
    if quota is None:
        return {}
    return {
        "user": max(1, quota.calls // 2 // QUARTER),
        "stranger": max(1, _part(quota, shares.stranger) // QUARTER),
    }


def misses_a_minute(limits: tuple[Rule, ...]) -> int:
    """The most symbols that one requester may enqueue within a minute: three, or a twentieth of the allowed calls."""
    return max(3, int(slowest(limits).per_minute / 20))
