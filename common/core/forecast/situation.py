"""What is known of the budget at one moment, as values: which slots are busy and when each frees, holds, shares, the line, the pace of
background, and how often people asked lately. `forecast` says what follows from it. It asks neither a store nor a clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from common.core.budget.holds import GATE_REASONS
from common.core.models import CallClass, Function
from common.core.provider.outcomes import Outcome

LATELY = timedelta(minutes=10)  # over which interactive calls are counted
USUAL_LATENCY = (timedelta(seconds=0.5), timedelta(seconds=1.5))  # of a call, and what it rarely exceeds
Key = tuple[Function, str]


@dataclass(frozen=True, slots=True)
class Window:
    """At most `calls` calls in any `period`; `group`: only calls of it count, None: all do. `used` count now, and `frees` says when the
    oldest of them stop to, in order."""

    calls: int
    period: timedelta
    group: str | None = None
    used: int = 0
    frees: Sequence[datetime] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """A queued request. Its requester had `used` calls in the longest period, `own` of them in this class; where that is all that one may
    have, the next place is free at `own_free_at`. From `urgent_at` on it goes before others: somebody was told a time."""

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
class Wanted:
    """A symbol with a quote: its weight, the level that it shares with symbols of about that weight, and the market's clock of its
    quote."""

    symbol: str
    weight: float
    level: int
    clock: float


@dataclass(frozen=True, slots=True)
class Span:
    """How background works from one moment to another (None: for ever): one call every `gap`, symbols by weight * age**power, where
    power 0 leaves none. `clock`: the market's at its begin; it `runs` in a session only."""

    begins: datetime
    ends: datetime | None
    gap: timedelta
    power: int
    clock: float
    runs: bool


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether calls may go: a hold and its reason, whether one call alone goes after it, and whether the provider fails."""

    held_for: str | None = None
    held_until: datetime | None = None
    probing: bool = False
    fails: bool = False
    knows_day: bool = True  # whether a rule of ours tells when the provider's day is over

    @property
    def closed(self) -> bool:
        """Nobody knows when the provider answers again: nothing can be promised."""
        if self.fails or (self.probing and self.held_for in GATE_REASONS):
            return True
        return self.probing and self.held_for == Outcome.DAY_USED_UP and not self.knows_day


@dataclass(frozen=True, slots=True)
class Situation:
    """All at one moment, `at`. `windows` are the provider's rules and the ceilings of groups; `most_of_one`: calls of a class that one
    requester may have in the longest period.

    Background: its `spans`, when it last was due, whether its last call was a first quote; symbols without a quote (`firsts`), those in
    quarantine with the end of their rest, and those `wanted`, or only how many may be refreshed now (`backlog`).

    `asked`: calls that people made necessary in the last ten minutes, of so many `askers`. `latency` of a call: the mean, and what it
    rarely exceeds. `bulk`: symbols of a call.
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
    wanted: Sequence[Wanted] = ()
    backlog: int = 0
    most_of_one: Mapping[str, int] = field(default_factory=dict)
    asked: int = 0
    requesters: int = 0
    latency: tuple[timedelta, timedelta] = USUAL_LATENCY
    bulk: int = 1
