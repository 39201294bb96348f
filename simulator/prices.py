"""What a made-up stock costs at any moment: a pure function of a walk and a time. It knows neither symbols nor bodies.

The level of a day's close is noise of many wavelengths; a session's path leads from close to close over nodes 15 minutes apart; every 3
seconds the price jitters around the path. A bar's extremes are the ticks of the current quarter and the bounds of the past ones, so that
a high never falls and no price lies outside its bar.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from math import exp, sqrt
from typing import NamedTuple

from simulator.noise import noise, wave
from simulator.sessions import Session, session_at, session_on, trading_day_before

TICK = 3  # seconds for which a price stands
QUARTER = 900  # seconds between two nodes of a path
_OCTAVES = 8
_CENT_OF_A_CENT = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Walk:
    """A stock's character: its own noise, a typical price, and how much it moves in a year (0.25 is 25 %)."""

    key: int
    base_price: float
    volatility: float

    @property
    def daily(self) -> float:
        return self.volatility / sqrt(252)

    @property
    def jitter(self) -> float:
        """The largest distance of a tick from the path, as a share of the price."""
        return self.volatility / 500


@dataclass(frozen=True, slots=True)
class Bar:
    """One trading day; the newest one is still going on. Prices have 4 decimals."""

    day: date
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int


@dataclass(frozen=True, slots=True)
class Quote:
    """The newest bar and the close before it."""

    bar: Bar
    previous_close: Decimal

    @property
    def change(self) -> Decimal:
        return self.bar.close - self.previous_close

    @property
    def change_percent(self) -> Decimal:
        return (self.change * 100 / self.previous_close).quantize(_CENT_OF_A_CENT)


@dataclass(frozen=True, slots=True)
class Move:
    """What a quote says of a day without its opening and its extremes."""

    day: date
    price: Decimal
    previous_close: Decimal
    volume: int

    @property
    def change(self) -> Decimal:
        return self.price - self.previous_close

    @property
    def change_percent(self) -> Decimal:
        return (self.change * 100 / self.previous_close).quantize(_CENT_OF_A_CENT)


def quote_at(walk: Walk, now: datetime) -> Quote:
    session = session_at(now)
    return Quote(_running_bar(walk, session, now), _finished_bar(walk, trading_day_before(session.day)).close)


def bars_at(walk: Walk, now: datetime, count: int) -> list[Bar]:
    """The latest `count` bars, newest first; the newest one closes at the quote's price."""
    session = session_at(now)
    bars = [_running_bar(walk, session, now)]
    while len(bars) < count:
        bars.append(_finished_bar(walk, trading_day_before(bars[-1].day)))
    return bars


def move_at(walk: Walk, now: datetime) -> Move:
    """The quote's price, change and volume, quickly enough for all stocks at once."""
    session = session_at(now)
    return _move(walk, session, _tick_at(session, now))


def closed_move(walk: Walk, now: datetime) -> Move:
    session = session_on(trading_day_before(session_at(now).day))
    return _move(walk, session, session.end - TICK)


def _move(walk: Walk, session: Session, tick: int) -> Move:
    before = session_on(trading_day_before(session.day))
    price, close = _lone_price(walk, session, tick), _lone_price(walk, before, before.end - TICK)
    return Move(session.day, _money(price), _money(close), _volume(walk, session, tick))


def closed_quote(walk: Walk, now: datetime) -> Quote:
    """The last finished day: what end-of-day data know."""
    bar, before = closed_bars(walk, now, 2)
    return Quote(bar, before.close)


def closed_bars(walk: Walk, now: datetime, count: int) -> list[Bar]:
    """The latest `count` finished bars, newest first."""
    return bars_at(walk, now, count + 1)[1:]


def _running_bar(walk: Walk, session: Session, now: datetime) -> Bar:
    path = _current_path(walk, session)
    tick = _tick_at(session, now)
    quarter = (tick - session.start) // QUARTER
    ticks = [_price(walk, session, path, at) for at in range(session.start + quarter * QUARTER, tick + TICK, TICK)]
    bounds = _bounds(walk, path[: quarter + 1]) if quarter else []
    return _bar(walk, session, _price(walk, session, path, session.start), [*bounds, *ticks], tick)


def _tick_at(session: Session, now: datetime) -> int:
    return session.start + (int(now.timestamp()) - session.start) // TICK * TICK


@lru_cache(maxsize=1 << 17)
def _finished_bar(walk: Walk, day: date) -> Bar:
    session = session_on(day)
    path = _path(walk, session)
    tick = session.end - TICK
    prices = [*_bounds(walk, path), _price(walk, session, path, tick)]
    return _bar(walk, session, _price(walk, session, path, session.start), prices, tick)


def _bar(walk: Walk, session: Session, opening: float, prices: list[float], tick: int) -> Bar:
    """A bar over prices of which the last is the close, at `tick`."""
    low, high = min(opening, *prices), max(opening, *prices)
    volume = _volume(walk, session, tick)
    return Bar(session.day, _money(opening), _money(high), _money(low), _money(prices[-1]), volume)


def _price(walk: Walk, session: Session, path: tuple[float, ...], tick: int) -> float:
    quarter, seconds = divmod(tick - session.start, QUARTER)
    return _between(walk, path[quarter], path[quarter + 1], seconds, tick)


def _lone_price(walk: Walk, session: Session, tick: int) -> float:
    """The same price, of the two nodes around the tick alone: a hundredth of the work."""
    quarter, seconds = divmod(tick - session.start, QUARTER)
    line = _line(walk, session)
    return _between(walk, _node(walk, line, quarter), _node(walk, line, quarter + 1), seconds, tick)


def _between(walk: Walk, left: float, right: float, seconds: int, tick: int) -> float:
    level = left + (right - left) * seconds / QUARTER
    return level * (1 + walk.jitter * noise(walk.key, tick // TICK))


def _bounds(walk: Walk, nodes: tuple[float, ...]) -> list[float]:
    return [min(nodes) * (1 - walk.jitter), max(nodes) * (1 + walk.jitter)]


def _path(walk: Walk, session: Session) -> tuple[float, ...]:
    """The nodes of a session, its first and last moment included: a line from close to close, and waves that vanish at both ends."""
    line = _line(walk, session)
    return tuple(_node(walk, line, at) for at in range(line.nodes + 1))


def _node(walk: Walk, line: "_Line", at: int) -> float:
    level = line.start + (line.end - line.start) * at / line.nodes
    calm = min(1.0, at / 8, (line.nodes - at) / 8)
    return walk.base_price * exp(level + calm * _ripple(walk, line.first + at))


class _Line(NamedTuple):
    """From where to where a session leads, in logarithms over the base price, and over how many nodes; `first` numbers its first one."""

    start: float
    end: float
    nodes: int
    first: int


def _line(walk: Walk, session: Session) -> _Line:
    gap = 0.3 * walk.daily * noise(walk.key + 1, session.day.toordinal())
    start, end = _level(walk, trading_day_before(session.day)) + gap, _level(walk, session.day)
    return _Line(start, end, -(-(session.end - session.start) // QUARTER), session.start // QUARTER)


_current_path = lru_cache(maxsize=4096)(_path)


def _ripple(walk: Walk, quarter: int) -> float:
    return walk.daily * (0.6 * wave(walk.key + 2, quarter / 12) + 0.3 * wave(walk.key + 3, quarter / 3))


@lru_cache(maxsize=1 << 17)
def _level(walk: Walk, day: date) -> float:
    """The logarithm of a close over the base price. Each wavelength weighs as in a random walk; 0.866 makes a day's move `daily`."""
    position = day.toordinal()
    waves = (2 ** (k / 2) * wave(walk.key + 10 + k, position / 2**k) for k in range(_OCTAVES))
    return 0.866 * walk.daily * sum(waves)


def _volume(walk: Walk, session: Session, tick: int) -> int:
    typical = 10 ** (6.8 + 0.6 * noise(walk.key, 0))
    whole = int(typical * (1 + 0.4 * noise(walk.key + 4, session.day.toordinal())))
    return whole * (tick + TICK - session.start) // (session.end - session.start)


def _money(price: float) -> Decimal:
    return Decimal(round(price * 10_000)).scaleb(-4)
