"""The policy of background refreshes: how often to call, and how to rank symbols. SQL chooses the symbol with these values.

The square-root law: refreshing the symbol with the highest `weight * age**2` minimises the mean age of a price when it is read
(Kadota et al., ToN 26(6), 2018). Ages are on the market clock. A day's quota is spread over the session.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from common.core.budget.holds import most_failures
from common.core.budget.shares import Ceiling, Shares, ceilings, most_of_one
from common.core.calendar.clock import Calendar
from common.core.calendar.closes import LAG, closes_out, price_clock
from common.core.limits import DAY, Rule, slowest

OPEN_POWER, CLOSING_POWER, NO_POWER = 2, 1, 0
RESERVE_RELEASE = timedelta(
    hours=1
)  # from one hour before the close, background may use the share reserved for interactive calls
SWEEP_DURATION = timedelta(hours=1)  # how long after the close the sweep is done
STANDING_RESERVE = 0.01  # of a quota, never used by background, so that a miss finds a slot on a day that is used up
PROBE_INTERVAL = timedelta(hours=1)  # the least time between two probes


@dataclass(frozen=True, slots=True)
class Policy:
    """The limits of all calls: the provider's rules, its `data` (as in `Plan`), the share of a day's quota that is kept for waiting
    requests [0..1), and the shares of groups.
    """

    limits: tuple[Rule, ...]
    data: str
    interactive_share: float
    shares: Shares = field(default_factory=Shares)

    @property
    def quota(self) -> Rule | None:
        """The rule of a day or longer, if there is one."""
        return next((rule for rule in self.limits if rule.period >= DAY), None)

    @property
    def gap(self) -> timedelta:
        """The time between two background calls if no quota binds."""
        return timedelta(minutes=1 / slowest(self.limits).per_minute)


@dataclass(frozen=True, slots=True)
class Usage:
    """What has been used.

    Calls that occupy the quota now (`taken`), and since `busy_after` (`busy`); of the latter those of waiting requests or operators
    (`urgent`), and those of background without an answer (`failed`). `tracked`: tracked symbols with a quote. `newest_day`: the newest
    trading day of New York's quotes.
    """

    taken: int = 0
    busy: int = 0
    urgent: int = 0
    failed: int = 0
    tracked: int = 0
    newest_day: date | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """What may be called now.

    Background: one call every `gap`, for the symbol with the highest weight * age**power at `clock` (open seconds); power 0 leaves only
    first quotes. All calls: the ceilings of groups, and by class the most calls of one requester in the longest period.
    """

    gap: timedelta
    clock: float
    power: int
    ceilings: tuple[Ceiling, ...] = ()
    most_of_one: Mapping[str, int] = field(default_factory=dict)


def busy_after(policy: Policy, calendar: Calendar, now: datetime) -> datetime | None:
    """From when calls count as `Usage.busy`; None if the usage is not needed, because there is neither a quota nor end-of-day data.

    During a session: calls that will still count when today's sweep is done (yesterday's will have expired). After it: calls since the
    close. With end-of-day data: the last day.
    """
    if policy.quota is None:
        return now - DAY if policy.data == "end_of_day" else None
    last = calendar.last_session(now)
    if policy.data == "end_of_day" or last is None:
        return now - policy.quota.period
    return last[1] + SWEEP_DURATION - policy.quota.period if calendar.is_open(now) else last[1]


def pace(policy: Policy, calendar: Calendar, now: datetime, use: Usage) -> Pace:
    """The pace at `now`: background's, and the ceilings of all calls."""
    return replace(
        _background(policy, calendar, now, use),
        ceilings=ceilings(policy.limits, policy.shares, reserve=policy.interactive_share, quoted=use.tracked),
        most_of_one=most_of_one(policy.limits, policy.shares),
    )


def _background(policy: Policy, calendar: Calendar, now: datetime, use: Usage) -> Pace:
    """Background's pace: the square-root law while the market is open, then all symbols that lack the close, by weight and age.

    With end-of-day data the clock is that of the newest close that the provider is known to have.
    """
    if policy.data == "end_of_day" and calendar.sessions:
        power = CLOSING_POWER if _quota_spares(policy, calendar, now, use) else NO_POWER
        known = min(calendar.sessions_until(use.newest_day), closes_out(calendar, now, policy.data))
        return Pace(policy.gap, calendar.clock_at_close(known), power)
    clock = price_clock(calendar, now, policy.data)
    if calendar.is_open(now):
        gap = _open_gap(policy, calendar, now, use)
        return Pace(policy.gap, clock, NO_POWER) if gap is None else Pace(gap, clock, OPEN_POWER)
    return Pace(policy.gap, clock, CLOSING_POWER if _sweeps(policy, calendar, now, use) else NO_POWER)


def _quota_spares(policy: Policy, calendar: Calendar, now: datetime, use: Usage) -> bool:
    """Whether background may use a call of a day's quota.

    The part reserved for waiting requests is released gradually within a day after the close is due, so that no call is left over.
    """
    if policy.quota is None:
        return True
    left = 1.0  # of that day
    if out := closes_out(calendar, now, policy.data):
        left = (calendar.sessions[out - 1][1] + LAG[policy.data] + DAY - now) / DAY
    reserve = max(0.0, policy.interactive_share * policy.quota.calls - use.urgent) * min(1.0, max(0.0, left))
    return use.busy < policy.quota.calls - int(reserve)


def _sweeps(policy: Policy, calendar: Calendar, now: datetime, use: Usage) -> bool:
    """Whether the sweep may go on: the final close is published, and neither its answers nor its failures use the next day's quota."""
    last = calendar.last_session(now)
    if last is None or now < last[1] + LAG[policy.data]:
        return False
    if policy.quota is None:
        return True
    answered = use.busy - use.urgent - use.failed
    return answered < sweep_share(policy.quota.calls, use.tracked) and use.failed < most_failures(policy.quota)


def _open_gap(policy: Policy, calendar: Calendar, now: datetime, use: Usage) -> timedelta | None:
    """The time between two background calls in a session: the time left, divided by the calls left after the reserves for the closing sweep
    and for waiting requests. None if nothing is left for background.
    """
    if (quota := policy.quota) is None:
        return policy.gap
    if quota.calls - use.taken <= max(1.0, STANDING_RESERVE * quota.calls):
        return None
    session = calendar.session(now)
    if session is None:
        return max(policy.gap, quota.period / max(1.0, quota.calls * (1 - policy.interactive_share)))
    left, length = session[1] - now, session[1] - session[0]
    # The interactive share is released gradually until an hour before the close. Released at once, background would be too slow before
    # and too fast after.
    kept = max(0.0, (left - RESERVE_RELEASE) / (length - RESERVE_RELEASE))
    reserve = max(0.0, policy.interactive_share * quota.calls - use.urgent) * kept
    spare = quota.calls - use.busy - sweep_share(quota.calls, use.tracked) - reserve
    return max(policy.gap, left / spare) if spare >= 1 else None


def sweep_share(quota: int, tracked: int) -> int:
    """Calls reserved for the closing sweep: one a symbol, or half of the quota if there are more symbols than calls."""
    return tracked if tracked <= quota else quota // 2


def probe_due(policy: Policy, calendar: Calendar, now: datetime, use: Usage, last_asked: datetime | None) -> bool:
    """Whether to probe one symbol for the latest close, with end-of-day data: from when it may be published until a quote has it.

    Hourly, later after half of the time that has passed: a close published in the morning costs nine probes instead of a call per symbol.
    """
    if policy.data != "end_of_day" or not calendar.sessions:
        return False
    out = closes_out(calendar, now, policy.data)
    if calendar.sessions_until(use.newest_day) >= out:
        return False
    due = calendar.sessions[out - 1][1] + LAG[policy.data]
    return last_asked is None or last_asked + max(PROBE_INTERVAL, (last_asked - due) / 2) <= now
