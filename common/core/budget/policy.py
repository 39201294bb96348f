"""Which symbol next, and when: the policy as values. The choice itself is made in SQL with what stands here.

Theory and figures: the square-root law says that refreshing the highest `weight * age**2` minimises the mean age of a price
as it is read (Kadota et al., ToN 26(6), 2018). Ages are on the market's clock. A day's quota is spread over the session.
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
RESERVE_RELEASE = timedelta(hours=1)  # before the close the interactive share of a quota is background's
SWEEP_DURATION = timedelta(hours=1)  # the closing sweep is over by then
STANDING_RESERVE = (
    0.01  # of a quota: what background never takes, so that a miss finds a slot after a day that was used up
)
PROBE_INTERVAL = timedelta(hours=1)  # between two probes, at least


@dataclass(frozen=True, slots=True)
class Policy:
    """What binds all calls: the provider's rules, what its prices are, what a day's quota keeps for who waits [0..1), and the shares of
    the groups of calls."""

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
        """Between two background calls where no quota binds."""
        return timedelta(minutes=1 / slowest(self.limits).per_minute)


@dataclass(frozen=True, slots=True)
class Usage:
    """What the journal and the tables say: calls that occupy the quota now (`taken`) and from `busy_after` on (`busy`), those of
    the latter that somebody waited for or ordered (`urgent`), and those of background that brought no answer (`failed`); the wanted
    symbols that have a quote, and the newest trading day of any quote."""

    taken: int = 0
    busy: int = 0
    urgent: int = 0
    failed: int = 0
    wanted: int = 0
    newest_day: date | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """What may be done now. Background: one call every `gap`; symbols ordered by weight * age**power at `clock` (open seconds), where
    power 0 leaves only symbols that have no quote at all. All calls: the ceilings of their groups, and by class the most calls that one
    requester may have in the longest period.
    """

    gap: timedelta
    clock: float
    power: int
    ceilings: tuple[Ceiling, ...] = ()
    most_of_one: Mapping[str, int] = field(default_factory=dict)


def busy_after(policy: Policy, calendar: Calendar, now: datetime) -> datetime | None:
    """From when on calls are counted in `Use`; None: no table need be asked, for neither a quota nor end-of-day data bind.

    In a session: what will still be busy when today's sweep is done (yesterday's makes room for it). After it: what the sweep took
    since. End-of-day data have a plain day.
    """
    if policy.quota is None:
        return now - DAY if policy.data == "end_of_day" else None
    last = calendar.last_session(now)
    if policy.data == "end_of_day" or last is None:
        return now - policy.quota.period
    return last[1] + SWEEP_DURATION - policy.quota.period if calendar.is_open(now) else last[1]


def pace(policy: Policy, calendar: Calendar, now: datetime, use: Usage) -> Pace:
    """The policy at `now`: the turn of background, and the ceilings of all calls."""
    return replace(
        _background(policy, calendar, now, use),
        ceilings=ceilings(policy.limits, policy.shares, reserve=policy.interactive_share, quoted=use.wanted),
        most_of_one=most_of_one(policy.limits, policy.shares),
    )


def _background(policy: Policy, calendar: Calendar, now: datetime, use: Usage) -> Pace:
    """The policy at `now`: the square-root law while the market is open, then all symbols that lack the close, by weight and age.

    Where prices are end-of-day the clock is that of the newest close that the provider is known to have.
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
    """Whether background may take a call of a day's quota. What is kept for who waits is released bit by bit within a day after the
    close is due, so that nothing is left over then."""
    if policy.quota is None:
        return True
    left = 1.0  # of that day
    if out := closes_out(calendar, now, policy.data):
        left = (calendar.sessions[out - 1][1] + LAG[policy.data] + DAY - now) / DAY
    reserve = max(0.0, policy.interactive_share * policy.quota.calls - use.urgent) * min(1.0, max(0.0, left))
    return use.busy < policy.quota.calls - int(reserve)


def _sweeps(policy: Policy, calendar: Calendar, now: datetime, use: Usage) -> bool:
    """Whether the final close is out, and the sweep has not eaten into the next day's quota: by answers, or by calls without one."""
    last = calendar.last_session(now)
    if last is None or now < last[1] + LAG[policy.data]:
        return False
    if policy.quota is None:
        return True
    answered = use.busy - use.urgent - use.failed
    return answered < sweep_share(policy.quota.calls, use.wanted) and use.failed < most_failures(policy.quota)


def _open_gap(policy: Policy, calendar: Calendar, now: datetime, use: Usage) -> timedelta | None:
    """A quota is a pace, not a wall: what is left of it, the sweep's and the interactive share apart, over the time left.

    None: nothing is left for background.
    """
    if (quota := policy.quota) is None:
        return policy.gap
    if quota.calls - use.taken <= max(1.0, STANDING_RESERVE * quota.calls):
        return None
    session = calendar.session(now)
    if session is None:
        return max(policy.gap, quota.period / max(1.0, quota.calls * (1 - policy.interactive_share)))
    left, length = session[1] - now, session[1] - session[0]
    # The interactive share is released bit by bit until an hour before the close: all at once would leave background
    # too slow before and too fast after.
    kept = max(0.0, (left - RESERVE_RELEASE) / (length - RESERVE_RELEASE))
    reserve = max(0.0, policy.interactive_share * quota.calls - use.urgent) * kept
    spare = quota.calls - use.busy - sweep_share(quota.calls, use.wanted) - reserve
    return max(policy.gap, left / spare) if spare >= 1 else None


def sweep_share(quota: int, wanted: int) -> int:
    """Calls that are kept for the closing sweep: one a symbol, or half of the quota if there are more symbols than that."""
    return wanted if wanted <= quota else quota // 2


def probe_due(policy: Policy, calendar: Calendar, now: datetime, use: Usage, last_asked: datetime | None) -> bool:
    """Whether to ask one symbol if today's close is out: end-of-day data, from the time that it may be, until it is. Hourly, then at half
    the time that has passed: a close that comes in the morning costs nine probes, and not each symbol its call."""
    if policy.data != "end_of_day" or not calendar.sessions:
        return False
    out = closes_out(calendar, now, policy.data)
    if calendar.sessions_until(use.newest_day) >= out:
        return False
    due = calendar.sessions[out - 1][1] + LAG[policy.data]
    return last_asked is None or last_asked + max(PROBE_INTERVAL, (last_asked - due) / 2) <= now
