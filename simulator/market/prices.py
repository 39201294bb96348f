"""What an invented security costs at any moment: a pure function of a walk and a time. It knows neither symbols nor answers.

1. The level of each day's close is noise of eight wavelengths, weighed as in a random walk.
2. A path of nodes 15 minutes apart leads through each session, from the close before to its own.
3. The price jitters around that path, anew every 3 seconds.

A bar's extremes are the prices of the current quarter of an hour and the bounds of the past ones. So a high never falls during a session,
and no price lies outside its bar.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache, partial
from math import exp, sqrt
from typing import NamedTuple

from simulator.market.bars import Bar, Move, Quote, quote_of
from simulator.market.noise import noise, wave
from simulator.market.sessions import Session, session_at, session_on, trading_day_before

TICK_SECONDS = 3  # a price stands that long
NODE_SECONDS = 900  # between two nodes of a path
_OCTAVES = 8
_CALM_NODES = 8  # at each end of a path the ripples grow from nothing, or shrink to it, over so many nodes


@dataclass(frozen=True, slots=True)
class Walk:
    """A security's character: the key of its noise, a typical price, and how much it moves in a year (0.25 is 25 %)."""

    key: int
    base_price: float
    volatility: float

    @property
    def daily(self) -> float:
        return self.volatility / sqrt(252)

    @property
    def jitter(self) -> float:
        """The largest distance of a price from the path, as a share of the price."""
        return self.volatility / 500


def quote_at(walk: Walk, now: datetime) -> Quote:
    return quote_of(bars_at(walk, now, 2))


def bars_at(walk: Walk, now: datetime, count: int) -> list[Bar]:
    """The latest `count` daily bars, newest first; the newest is the running session's and closes at the current price."""
    session = session_at(now)
    bars = [_running_bar(walk, session, now)]
    while len(bars) < count:
        bars.append(_finished_bar(walk, trading_day_before(bars[-1].day)))
    return bars


def finished_bars_at(walk: Walk, now: datetime, count: int) -> list[Bar]:
    """The latest `count` daily bars of finished sessions, newest first: what end-of-day data know."""
    return bars_at(walk, now, count + 1)[1:]


def move_at(walk: Walk, now: datetime) -> Move:
    """The price, change and volume of `quote_at`, fast enough for all securities at once."""
    session = session_at(now)
    return _move(walk, session, _tick_at(session, now))


def finished_move_at(walk: Walk, now: datetime) -> Move:
    """The same of the last finished session."""
    session = session_on(trading_day_before(session_at(now).day))
    return _move(walk, session, session.end - TICK_SECONDS)


def _move(walk: Walk, session: Session, tick: int) -> Move:
    before = session_on(trading_day_before(session.day))
    price, close = _lone_price(walk, session, tick), _lone_price(walk, before, before.end - TICK_SECONDS)
    return Move(session.day, _money(price), _money(close), _volume(walk, session, tick))


def _running_bar(walk: Walk, session: Session, now: datetime) -> Bar:
    tick = _tick_at(session, now)
    node = (tick - session.start) // NODE_SECONDS
    path = _path(walk, session)
    ticks = range(session.start + node * NODE_SECONDS, tick + TICK_SECONDS, TICK_SECONDS)
    prices = [_price(walk, session, path.__getitem__, each) for each in ticks]
    past = _bounds(walk, path[: node + 1]) if node else ()
    return _bar(walk, session, [*past, *prices], tick)


def _tick_at(session: Session, now: datetime) -> int:
    return session.start + (int(now.timestamp()) - session.start) // TICK_SECONDS * TICK_SECONDS


@lru_cache(maxsize=1 << 17)
def _finished_bar(walk: Walk, day: date) -> Bar:
    session = session_on(day)
    return _bar(walk, session, _bounds(walk, _path(walk, session)), session.end - TICK_SECONDS)


def _bar(walk: Walk, session: Session, prices: Sequence[float], last: int) -> Bar:
    """The bar of a session up to the tick `last`; its extremes cover `prices` too."""
    node = _path(walk, session).__getitem__
    first_price, last_price = _price(walk, session, node, session.start), _price(walk, session, node, last)
    low, high = min(first_price, last_price, *prices), max(first_price, last_price, *prices)
    volume = _volume(walk, session, last)
    return Bar(session.day, _money(first_price), _money(high), _money(low), _money(last_price), volume)


def _price(walk: Walk, session: Session, node: Callable[[int], float], tick: int) -> float:
    """The price at a tick, in seconds since 1970; `node` gives the price at each node of the session's path."""
    at, seconds = divmod(tick - session.start, NODE_SECONDS)
    left, right = node(at), node(at + 1)
    level = left + (right - left) * seconds / NODE_SECONDS
    return level * (1 + walk.jitter * noise(walk.key, tick // TICK_SECONDS))


def _lone_price(walk: Walk, session: Session, tick: int) -> float:
    """The same price from the two nodes around the tick alone: a hundredth of the work."""
    return _price(walk, session, partial(_node, walk, _line(walk, session)), tick)


def _bounds(walk: Walk, nodes: tuple[float, ...]) -> tuple[float, float]:
    return min(nodes) * (1 - walk.jitter), max(nodes) * (1 + walk.jitter)


@lru_cache(maxsize=4096)
def _path(walk: Walk, session: Session) -> tuple[float, ...]:
    """The prices at all nodes of a session, both ends included."""
    line = _line(walk, session)
    return tuple(_node(walk, line, at) for at in range(line.nodes + 1))


class _Line(NamedTuple):
    """The straight line under a path, in logarithms over the base price. `first` is the number of its first node since 1970."""

    start: float
    end: float
    nodes: int
    first: int


def _line(walk: Walk, session: Session) -> _Line:
    gap = 0.3 * walk.daily * noise(walk.key + 1, session.day.toordinal())
    start, end = _level(walk, trading_day_before(session.day)) + gap, _level(walk, session.day)
    return _Line(start, end, -(-(session.end - session.start) // NODE_SECONDS), session.start // NODE_SECONDS)


def _node(walk: Walk, line: _Line, at: int) -> float:
    """The line and ripples that vanish at its ends."""
    level = line.start + (line.end - line.start) * at / line.nodes
    calm = min(1.0, at / _CALM_NODES, (line.nodes - at) / _CALM_NODES)
    return walk.base_price * exp(level + calm * _ripple(walk, line.first + at))


def _ripple(walk: Walk, node: int) -> float:
    return walk.daily * (0.6 * wave(walk.key + 2, node / 12) + 0.3 * wave(walk.key + 3, node / 3))


@lru_cache(maxsize=1 << 17)
def _level(walk: Walk, day: date) -> float:
    """The logarithm of a close over the base price. Each wavelength weighs as in a random walk; 0.866 makes a day's move `daily`."""
    position = day.toordinal()
    waves = (2 ** (k / 2) * wave(walk.key + 10 + k, position / 2**k) for k in range(_OCTAVES))
    return 0.866 * walk.daily * sum(waves)


def _volume(walk: Walk, session: Session, tick: int) -> int:
    typical = 10 ** (6.8 + 0.6 * noise(walk.key, 0))
    whole = int(typical * (1 + 0.4 * noise(walk.key + 4, session.day.toordinal())))
    return whole * (tick + TICK_SECONDS - session.start) // (session.end - session.start)


def _money(price: float) -> Decimal:
    return Decimal(round(price * 10_000)).scaleb(-4)
