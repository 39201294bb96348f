"""Simulate the ledger call by call from a situation, as db/functions/grant_call.sql and choose_call.sql grant them.

Times are seconds since the situation's. The simulation ends after a number of steps, or when nothing changes any more.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from math import ceil, inf
from typing import NamedTuple

from common.core.forecast.background import UNNAMED, Busy, Pick, Pool
from common.core.forecast.queue import Candidate, Queue
from common.core.forecast.situation import Key, Situation, Span, Tracked, Window
from common.core.limits import DAY, MINUTE
from common.core.models import Function

MAX_STEPS = 4000
HORIZON = 8 * 86_400.0  # seconds; a job's symbols stay queued for a week (common/store/budget/refresh_jobs.JOB_TTL)
MAX_BACKLOG = 1.0  # seconds of background's pace that are caught up (grant_call.sql)
SMOOTHING = 0.02  # the weight of one refresh in the moving average of `period`
NO_GROUPS: frozenset[str] = frozenset()


class Choice(NamedTuple):
    """What a slot is used for: a queued request; or background's retry, refresh, or (without any of them) first quote."""

    groups: frozenset[str] = NO_GROUPS
    candidate: Candidate | None = None
    refresh: Pick | None = None
    retry: str | None = None


class Run:
    """One simulation, until all queued requests are served and all tracked symbols refreshed. `arrivals`: see `Queue`. `latency`: seconds
    of a call."""

    def __init__(self, situation: Situation, arrivals: Iterator[tuple[float, bool]], latency: float) -> None:
        self.served: dict[Key, float] = {}
        self.refreshed: dict[str, float] = {}
        self.firsts: list[float] = []
        self.period = 0.0
        self._known, self._latency = situation, latency
        self._rules = [self._busy(window) for window in situation.windows if window.group is None]
        self._ceilings = [
            (window.group, window.period >= DAY, self._busy(window))
            for window in situation.windows
            if window.group is not None
        ]
        self._queue = Queue(situation, arrivals)
        self._pool = Pool(self._without_those_under_way(), situation.backlog)
        self._spans = [
            (self._seconds(s.begins), inf if s.ends is None else self._seconds(s.ends), s) for s in situation.spans
        ]
        self._background_at = -inf if situation.background_at is None else self._seconds(situation.background_at)
        self._last_first, self._left = situation.last_first, situation.firsts
        self._resting = sorted((self._seconds(until), symbol) for symbol, until in situation.resting.items())
        self._lacking = {w.symbol for w in situation.tracked} | set(
            situation.resting
        )  # symbols that are not refreshed yet
        self._days = any(window.period >= DAY for window in situation.windows if window.group is None)

    def _without_those_under_way(self) -> list[Tracked]:
        """The tracked symbols; those with a call under way as if just refreshed."""
        asked = {request.subject for request in self._known.queue if request.under_way}
        clock = max((span.clock for span in self._known.spans[:1]), default=0.0)
        return [replace(each, clock=clock) if each.symbol in asked else each for each in self._known.tracked]

    def _seconds(self, moment: datetime) -> float:
        return (moment - self._known.at).total_seconds()

    def _busy(self, window: Window) -> Busy:
        frees = [self._seconds(free) for free in window.frees]
        return Busy(window.calls, window.period.total_seconds(), frees, window.used - len(frees))

    def run(self) -> None:
        """Grant calls until the end of the simulation."""
        for request in self._known.queue:
            if request.under_way:
                self._answer(request.key, self._latency)
        until = self._known.gate.held_until
        at = 0.0 if until is None else max(0.0, self._seconds(until))
        for _ in range(MAX_STEPS):
            if self._is_done():
                return
            if at > HORIZON:
                return
            at = max([at, *(rule.free_at(at) for rule in self._rules)])
            self._queue.arrive(at)
            choice = self._choose(at)
            if choice is None:
                at = self._next_change(at)
                if at == inf:
                    return
            else:
                self._grant(choice, at)

    def _is_done(self) -> bool:
        if self._queue.waiting:
            return False
        return not (self._lacking or len(self.firsts) < self._known.firsts)

    def _span(self, at: float) -> Span | None:
        return next((span for begins, ends, span in self._spans if begins <= at < ends), None)

    def _due(self, span: Span, at: float) -> float:
        gap = span.gap.total_seconds()
        return max(self._background_at + gap, at - min(gap, MAX_BACKLOG))

    def _barred(self, at: float) -> tuple[frozenset[str], frozenset[str]]:
        """The groups at their ceiling, and those of them whose ceiling binds even if nobody else waits."""
        full = [(group, firm) for group, firm, busy in self._ceilings if busy.used(at) >= busy.calls]
        return frozenset(group for group, _ in full), frozenset(group for group, firm in full if firm)

    def _choose(self, at: float) -> Choice | None:
        barred, firm = self._barred(at)
        if (candidate := self._queue.first(at, barred)) is not None:
            return Choice(candidate.lane.groups, candidate)
        span = self._span(at)
        pick = None if span is None else self._background(span, at, barred)
        due = span is not None and self._due(span, at) <= at
        if pick is not None and due:
            return pick
        if pick is None or span is None or self._spares(span, at):
            if (candidate := self._queue.first(at, firm)) is not None:
                return Choice(candidate.lane.groups, candidate)
            if span is not None and due and barred != firm:
                return self._background(span, at, firm)
        return None

    def _background(self, span: Span, at: float, barred: frozenset[str]) -> Choice | None:
        """Background's choice: a retry after quarantine while trials are left, otherwise a first quote and a refresh in turn."""
        if self._resting and self._resting[0][0] <= at and "trial" not in barred:
            return Choice(frozenset({"trial"}), retry=self._resting[0][1])
        first = Choice(frozenset({"first"})) if self._left and "first" not in barred else None
        if first is not None and not self._last_first:
            return first
        pick = self._refresh(span, at, watched_only="unwatched" in barred and self._pool.watched)
        if pick is not None:
            return Choice(frozenset({"unwatched"}) if pick.unwatched else NO_GROUPS, refresh=pick)
        return first

    def _refresh(self, span: Span, at: float, *, watched_only: bool) -> Pick | None:
        clock, last = self._clock(span, at), self._days and span.power < 2
        pick = self._pool.pick(clock, span.power, runs=span.runs, watched=watched_only or last)
        if pick is None and last and not watched_only:
            pick = self._pool.pick(clock, span.power, runs=span.runs, watched=False)
        return pick

    def _clock(self, span: Span, at: float) -> float:
        return span.clock + (at - self._seconds(span.begins) if span.runs else 0.0)

    def _spares(self, span: Span, at: float) -> bool:
        """Whether there are more free slots than background will need (db/functions/spares_slot.sql)."""
        gap = max(0.001, span.gap.total_seconds())
        return all(
            busy.calls - busy.used(at) > ceil(busy.period / gap)
            for busy in self._rules
            if MINUTE.total_seconds() <= busy.period < DAY.total_seconds()
        )

    def _grant(self, choice: Choice, at: float) -> None:
        ended = at + self._latency
        for rule in self._rules:
            rule.add(ended)
        for group, _, busy in self._ceilings:
            if group in choice.groups:
                busy.add(ended)
        if choice.candidate is not None:
            self._serve(choice.candidate, at)
            return
        span = self._span(at)
        if span is None:
            return
        self._background_at = self._due(span, at)
        if choice.retry is not None:
            self._resting.pop(0)
            self._refreshed(choice.retry, ended)
        elif choice.refresh is None:
            self._left, self._last_first = self._left - 1, True
            self.firsts.append(ended)
        else:
            self._last_first = False
            self._note(choice.refresh, span, at)
            self._fill(span, at, self._known.bulk - 1)

    def _serve(self, candidate: Candidate, at: float) -> None:
        key = self._queue.take(candidate)
        if key is not None:
            self._answer(key, at + self._latency)
        span = self._span(at)
        if (key is None or key[0] is Function.QUOTE) and self._known.bulk > 1:
            self._fill(span, at, self._known.bulk - 1)

    def _answer(self, key: Key, at: float) -> None:
        self.served.setdefault(key, at)
        if key[0] is Function.QUOTE:
            self._refreshed(key[1], at)

    def _refreshed(self, symbol: str, at: float) -> None:
        self.refreshed.setdefault(symbol, at)
        self._lacking.discard(symbol)

    def _note(self, pick: Pick, span: Span, at: float) -> None:
        self._pool.take(pick, self._clock(span, at))
        if pick.symbol == UNNAMED:
            return
        self._refreshed(pick.symbol, at + self._latency)
        if span.power == 2:
            self.period += (pick.root_age - self.period) * (SMOOTHING if self.period else 1.0)

    def _fill(self, span: Span | None, at: float, room: int) -> None:
        """Fill a bulk call (db/functions/fill_bulk.sql): queued requests, first quotes for half of what is left, then refreshes."""
        for candidate in self._queue.quotes(at, room):
            key = self._queue.take(candidate)
            room -= 1
            if key is not None:
                self._answer(key, at + self._latency)
        for _ in range(min(self._left, room // 2)):
            self._left, room = self._left - 1, room - 1
            self.firsts.append(at + self._latency)
        while span is not None and room > 0 and (pick := self._refresh(span, at, watched_only=False)) is not None:
            room -= 1
            self._note(pick, span, at)

    def _next_change(self, at: float) -> float:
        """When the choice may change without a new request (db/functions/next_change.sql)."""
        moments = [begins for begins, _, _ in self._spans] + [ends for _, ends, _ in self._spans]
        if (span := self._span(at)) is not None:
            moments.append(self._due(span, at))
        moments += [until for until, _ in self._resting[:1]]
        if self._queue.present:
            moments += [busy.free_at(at) for _, _, busy in self._ceilings]
        elif self._resting or self._left:
            moments += [busy.free_at(at) for group, _, busy in self._ceilings if group in ("trial", "first")]
        moments += self._queue.changes(at)
        return min((moment for moment in moments if moment > at), default=inf)
