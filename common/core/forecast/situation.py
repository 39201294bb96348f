"""The budget's situation at one moment, from which `forecast` starts: used slots and when each becomes free, holds, ceilings, the queue,
background's pace, and how often people asked lately."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from common.core.budget.holds import GATE_REASONS
from common.core.models import CallClass, Function
from common.core.provider.outcomes import Outcome

LATELY = timedelta(minutes=10)  # the period over which interactive calls are counted
USUAL_LATENCY = (timedelta(seconds=0.5), timedelta(seconds=1.5))  # a call's usual duration, and one it rarely exceeds
Key = tuple[Function, str]


@dataclass(frozen=True, slots=True)
class Window:
    """At most `calls` calls of a `group` (None: of all) in any `period`.

    `used`: calls that count now; `frees`: when the oldest of them stop counting, in order.
    """

    calls: int
    period: timedelta
    group: str | None = None
    used: int = 0
    frees: Sequence[datetime] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """A queued request. Its requester had `used` calls in the longest period, `own` of them in this class; if that is the most allowed, the
    next is allowed at `own_free_at`. From `urgent_at` on it goes before others, because a client was promised a time."""

    function: Function
    subject: str
    call_class: CallClass
    since: datetime
    groups: frozenset[str] = frozenset({"waiting"})
    requester: str | None = None
    used: int = 0
    own: int = 0
    own_free_at: datetime | None = None
    ready_at: datetime | None = None
    urgent_at: datetime | None = None
    under_way: bool = False

    @property
    def key(self) -> Key:
        return self.function, self.subject


@dataclass(frozen=True, slots=True)
class Tracked:
    """A tracked symbol with a quote: its weight, its level (symbols of similar weight share one), and the market clock of its quote."""

    symbol: str
    weight: float
    level: int
    clock: float


@dataclass(frozen=True, slots=True)
class Span:
    """Background's pace from one moment to another (None: forever): one call every `gap`, ranked by weight * age**power; power 0: no
    refreshes.

    `clock`: the market clock at its begin; `runs`: whether that clock advances, which it does in a session.
    """

    begins: datetime
    ends: datetime | None
    gap: timedelta
    power: int
    clock: float
    runs: bool


@dataclass(frozen=True, slots=True)
class Gate:
    """The gate: a hold and its reason, whether only a probe goes after it, and whether the provider fails."""

    held_for: str | None = None
    held_until: datetime | None = None
    probing: bool = False
    fails: bool = False
    knows_day: bool = True  # whether a rule of a day is known, so that the end of "day used up" is

    @property
    def closed(self) -> bool:
        """Whether it is unknown when the provider answers again, so that nothing can be promised."""
        if self.fails or (self.probing and self.held_for in GATE_REASONS):
            return True
        return self.probing and self.held_for == Outcome.DAY_USED_UP and not self.knows_day


@dataclass(frozen=True, slots=True)
class Situation:
    """The situation at the moment `at`. `windows`: the provider's rules and the ceilings of groups.

    `most_of_one`: by class, the most calls of one requester in the longest period.

    Background: its `spans`, when its last call was due, whether that was a first quote; the number of symbols without a quote (`firsts`),
    quarantined symbols and when each quarantine ends (`resting`), the `tracked` symbols, or only the number of due ones (`backlog`).

    `asked`: calls for users and strangers in the last ten minutes, of how many `requesters`. `latency`: the mean duration of a call, and
    one that it rarely exceeds. `bulk`: the most symbols of a call.
    """

    at: datetime
    windows: Sequence[Window]
    gate: Gate = field(default_factory=Gate)
    queue: Sequence[Request] = ()
    spans: Sequence[Span] = ()
    background_at: datetime | None = None
    last_first: bool = False
    firsts: int = 0
    resting: Mapping[str, datetime] = field(default_factory=dict)
    tracked: Sequence[Tracked] = ()
    backlog: int = 0
    most_of_one: Mapping[str, int] = field(default_factory=dict)
    asked: int = 0
    requesters: int = 0
    latency: tuple[timedelta, timedelta] = USUAL_LATENCY
    bulk: int = 1
