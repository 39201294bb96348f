"""A day's quota of 500 calls for 20 symbols: how old prices are, on the market's clock, over one session of the NYSE.

The day before is played too, for its calls still occupy the quota and its closing sweep is where the ages start.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bench.ages import mean_read_age
from bench.refresh.misses import LATENCY
from bench.virtual import MINUTE, open_day, trades_last, watch
from common.core.budget.staleness import SESSION, lower_bound, zipf
from common.market_calendar import nyse
from common.process.settings import Settings

LIMITS = "5/1min,500/1d"
SYMBOLS = 20
DAY_BEFORE = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
CAP = timedelta(seconds=10)  # a process looks after 0.25 s; 10 s against a gap of 50 s and more cost less time here


@dataclass(frozen=True, slots=True)
class Session:
    """Of one session: mean age and its bound in minutes, and the number of calls."""

    age: float
    bound: float
    calls: int


async def measure(settings: Settings) -> Session:
    calendar = nyse(DAY_BEFORE.year + 1)
    weights = {f"SIM{rank:04}": float(round(weight)) for rank, weight in enumerate(zipf(SYMBOLS), 1)}
    first = calendar.next_open(DAY_BEFORE)
    opening = calendar.next_open(first) if first else None
    session = calendar.session(opening) if opening else None
    if first is None or session is None:
        raise RuntimeError(f"expected two sessions after {DAY_BEFORE}")
    async with open_day(settings, first) as day:
        day.trading_day, day.cap, day.latency = trades_last, CAP, LATENCY
        await watch(day, {symbol: int(weight) for symbol, weight in weights.items()})
        await day.run(session[1])
    start, end = calendar.clock(session[0]), calendar.clock(session[1])
    responses = [(symbol, call.ended) for call in day.calls for symbol in call.subjects]
    on_clock = ((symbol, calendar.clock(at)) for symbol, at in responses)
    before = dict.fromkeys(weights, calendar.clock(first))
    return Session(
        age=mean_read_age(weights, on_clock, before, start, end) / 60,
        bound=lower_bound(list(weights.values()), 500 / (SESSION / MINUTE)),
        calls=sum(session[0] <= at < session[1] for _, at in responses),
    )
