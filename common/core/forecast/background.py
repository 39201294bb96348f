"""Which symbol background refreshes next, as in db/functions/background_candidates.sql: the oldest of each level; of those the one with the
highest weight * age**power."""

from bisect import insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from common.core.forecast.situation import Tracked

UNNAMED = ""  # a due symbol of the backlog, whose name is not known


@dataclass(frozen=True, slots=True)
class Pick:
    """A symbol to refresh; `root_age`: its age times the square root of its weight."""

    symbol: str
    level: int
    root_age: float

    @property
    def unwatched(self) -> bool:
        return self.level < 0


class Pool:
    """The tracked symbols with a quote, by level and clock; or only their number, `backlog`."""

    def __init__(self, tracked: Sequence[Tracked], backlog: int) -> None:
        self._unnamed, self._backlog = backlog > 0, backlog
        self._levels: dict[int, deque[tuple[float, float, str]]] = {}
        for level, clock, weight, symbol in sorted((w.level, w.clock, w.weight, w.symbol) for w in tracked):
            self._levels.setdefault(level, deque()).append((clock, weight, symbol))
        self.watched = self._unnamed or any(level >= 0 for level in self._levels)

    def pick(self, clock: float, power: int, *, runs: bool, watched: bool) -> Pick | None:
        """The symbol to refresh at a time of the market clock; None if none is due. `watched`: only watched symbols."""
        if power == 0:
            return None
        if self._unnamed and (runs or self._backlog > 0):
            return Pick(UNNAMED, 0, 0.0)
        best, highest = None, 0.0
        for level, queue in self._levels.items():
            if watched and level < 0:
                continue
            oldest, weight, symbol = queue[0]
            age = clock - oldest
            if age <= 0:
                continue
            if (rank := weight * (age * age if power == 2 else age)) > highest:
                highest, best = rank, Pick(symbol, level, sqrt(weight) * age)
        return best

    def take(self, pick: Pick, clock: float) -> None:
        """Record a refresh: the symbol is now the youngest of its level."""
        if pick.symbol == UNNAMED:
            self._backlog -= 1
            return
        queue = self._levels[pick.level]
        _, weight, symbol = queue.popleft()
        queue.append((clock, weight, symbol))


class Busy:
    """One window's used slots; times are seconds since the situation's."""

    def __init__(self, calls: int, period: float, frees: Sequence[float], hidden: int) -> None:
        self.calls, self.period, self._hidden = calls, period, hidden
        self._frees = deque(sorted(frees))

    def free_at(self, at: float) -> float:
        """When one more call may go, not before `at`."""
        over = self.used(at) - self.calls
        if over < 0:
            return at
        return self._frees[over] if over < len(self._frees) else self._last() + self.period

    def used(self, at: float) -> int:
        while self._frees and self._frees[0] <= at:
            self._frees.popleft()
        return len(self._frees) + self._hidden

    def add(self, ended: float) -> None:
        """Add a call; it counts until a period after its end."""
        free = ended + self.period
        if self._frees and free < self._frees[-1]:
            ordered = list(self._frees)
            insort(ordered, free)
            self._frees = deque(ordered)
        else:
            self._frees.append(free)

    def _last(self) -> float:
        return self._frees[-1] if self._frees else 0.0
