"""The order of queued requests, as in db/functions/next_queued.sql: by class, then by the requester's calls, then by time."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from typing import NamedTuple

from common.core.forecast.situation import Key, Request, Situation
from common.core.models import CallClass, Function

PLACE = {CallClass.USER: (0, 0), CallClass.STRANGER: (0, 1), CallClass.OPERATOR: (1, 2)}
LAST = (2, 4)  # background's own requests
RETURNING, MANY_CALLS = "returning", 1_000_000  # a returning requester, taken to have more calls than any that waits
WAITING = frozenset({"waiting"})
QUEUE_TTL = 60.0  # seconds
MAX_COMING = 100  # the queue takes no more (common/store/budget/queue.MAX_WAITING)
NO_ARRIVAL = (inf, False)


class _Item(NamedTuple):
    since: float
    ready: float
    urgent: float
    key: Key | None


@dataclass(eq=False, slots=True)
class Lane:
    """Requests of one class, requester and set of groups, in order of time."""

    call_class: CallClass
    groups: frozenset[str]
    requester: str | None
    free_at: float  # when a requester with all its allowed calls gets the next one
    items: deque[_Item] = field(default_factory=deque)
    plain: bool = True  # no item backs off or is urgent, so the first goes first

    def next(self, at: float) -> _Item | None:
        """The lane's item that is served next; None if all back off."""
        if self.plain:
            return self.items[0]
        return min(
            (item for item in self.items if item.ready <= at),
            key=lambda item: (item.urgent if item.urgent <= at else inf, item.since),
            default=None,
        )


@dataclass(slots=True)
class Candidate:
    """A request that may be served."""

    lane: Lane
    item: _Item


class Queue:
    """Queued requests, and expected ones: `arrivals` are times, and whether the requester has had no call yet."""

    def __init__(self, situation: Situation, arrivals: Iterator[tuple[float, bool]]) -> None:
        self.waiting = 0  # requests of the situation that are not served yet
        self._most = situation.most_of_one
        self._used: dict[str | None, int] = {None: 0, RETURNING: MANY_CALLS}
        self._own: dict[tuple[str | None, str], int] = {}
        self._lanes: dict[tuple[object, ...], Lane] = {}
        self._arrivals = arrivals
        self._coming, self._fresh = next(arrivals, NO_ARRIVAL)
        for request in sorted(situation.queue, key=lambda request: (request.since, request.key)):
            if not request.under_way:
                self._add(situation, request)

    def _add(self, situation: Situation, request: Request) -> None:
        def seconds(moment: datetime | None, never: float = -inf) -> float:
            return never if moment is None else (moment - situation.at).total_seconds()

        lane = self._lane(request.call_class, request.groups, request.requester, seconds(request.own_free_at))
        urgent = seconds(request.urgent_at, inf)
        lane.items.append(_Item(seconds(request.since), seconds(request.ready_at), urgent, request.key))
        lane.plain = lane.plain and request.ready_at is None and request.urgent_at is None
        self._used[request.requester] = request.used if request.requester is not None else 0
        self._own[request.requester, request.call_class] = request.own
        self.waiting += 1

    def _lane(self, call_class: CallClass, groups: frozenset[str], requester: str | None, free_at: float) -> Lane:
        return self._lanes.setdefault((call_class, groups, requester), Lane(call_class, groups, requester, free_at))

    @property
    def present(self) -> bool:
        return any(lane.items for lane in self._lanes.values())

    def arrive(self, at: float) -> None:
        """Add the requests expected until `at`; drop those that were not served within a request's time in the queue."""
        while self._coming <= at:
            lane = self._lane(CallClass.USER, WAITING, None if self._fresh else RETURNING, -inf)
            if len(lane.items) < MAX_COMING:
                lane.items.append(_Item(self._coming, -inf, inf, None))
            self._coming, self._fresh = next(self._arrivals, NO_ARRIVAL)
        for requester in (None, RETURNING):
            coming = self._lanes.get((CallClass.USER, WAITING, requester))
            while (
                coming is not None
                and coming.items
                and coming.items[0].key is None
                and coming.items[0].since < at - QUEUE_TTL
            ):
                coming.items.popleft()

    def first(self, at: float, barred: frozenset[str]) -> Candidate | None:
        """The request that is served next, without any whose groups are barred."""
        best, least = None, None
        for lane in self._lanes.values():
            if not lane.items or lane.groups & barred or self._is_spent(lane, at):
                continue
            item = lane.next(at)
            if item is None:
                continue
            group, rank = PLACE.get(lane.call_class, LAST)
            used = self._used.get(lane.requester, 0) if group == 0 else 0
            urgent = item.urgent if item.urgent <= at else inf
            order = (group, urgent, "trial" in lane.groups, rank, used, item.since)
            if least is None or order < least:
                best, least = Candidate(lane, item), order
        return best

    def quotes(self, at: float, room: int) -> list[Candidate]:
        """Up to `room` requests for quotes that a bulk call may serve too, in order."""
        found = [
            Candidate(lane, item)
            for lane in self._lanes.values()
            for item in lane.items
            if item.ready <= at and (item.key is None or item.key[0] is Function.QUOTE)
        ]
        found.sort(key=lambda candidate: (PLACE.get(candidate.lane.call_class, LAST), candidate.item.since))
        return found[:room]

    def take(self, candidate: Candidate) -> Key | None:
        """Remove a served request and count the call for its requester. Return its key; None for an expected request."""
        lane, key = candidate.lane, candidate.item.key
        lane.items.remove(candidate.item)
        if lane.requester not in (None, RETURNING):
            self._used[lane.requester] = self._used.get(lane.requester, 0) + 1
            self._own[lane.requester, lane.call_class] = self._own.get((lane.requester, lane.call_class), 0) + 1
        if key is not None:
            self.waiting -= 1
        return key

    def _is_spent(self, lane: Lane, at: float) -> bool:
        """Whether the requester has all its allowed calls. The one call that becomes free at `free_at` is granted once."""
        most = self._most.get(lane.call_class)
        own = self._own.get((lane.requester, lane.call_class), 0)
        if most is None or lane.requester in (None, RETURNING) or own < most:
            return False
        if -inf < lane.free_at <= at:
            self._own[lane.requester, lane.call_class] = own - 1
            lane.free_at = inf
            return False
        return True

    def changes(self, at: float) -> list[float]:
        """Times at which a request arrives, may be retried, or is allowed by its requester's calls."""
        lanes = [lane for lane in self._lanes.values() if lane.items]
        moments = [item.ready for lane in lanes if not lane.plain for item in lane.items if item.ready > at]
        return [self._coming, *moments, *(lane.free_at for lane in lanes if at < lane.free_at < inf)]
