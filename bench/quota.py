"""A day's quota of 500 calls for 20 symbols: how old prices are, on the market's clock, over one session of the NYSE.

The day before is played too, for its calls still occupy the quota and its closing sweep is where the ages start.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bench.ages import by_symbol, observed, read_weighted
from bench.virtual import open_world
from common.core.budget.staleness import SESSION, lower_bound, zipf
from common.market_calendar import nyse
from common.process.settings import Settings

LIMITS = "5/1min,500/1d"
SYMBOLS = 20
DAY_BEFORE = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
PATIENCE = timedelta(
    seconds=10
)  # a process looks after 0.25 s; 10 s against a gap of 50 s and more cost less time here


@dataclass(slots=True)
class Session:
    """What one session saw: responses as (symbol, time), mean age and the bound in minutes, calls in the session."""

    responses: list[tuple[str, datetime]] = field(default_factory=list)
    age: float = 0.0
    bound: float = 0.0
    calls: int = 0

    def answered(self, symbol: str, at: datetime) -> None:
        self.responses.append((symbol, at))


async def measure(settings: Settings) -> Session:
    calendar, seen = nyse(DAY_BEFORE.year + 1), Session()
    weights = {f"SIM{rank:04}": float(round(weight)) for rank, weight in enumerate(zipf(SYMBOLS), 1)}
    first = calendar.next_open(DAY_BEFORE)
    opening = calendar.next_open(first) if first else None
    session = calendar.session(opening) if opening else None
    if first is None or session is None:
        raise RuntimeError(f"expected two sessions after {DAY_BEFORE}")
    watched = {symbol: int(weight) for symbol, weight in weights.items()}
    async with open_world(settings, watched, first) as world:
        await world.run_until(session[1], statement_timeout=PATIENCE, answered=seen.answered)
    start, end = calendar.clock(session[0]), calendar.clock(session[1])
    times = by_symbol(((symbol, calendar.clock(at)) for symbol, at in seen.responses), weights)
    ages = {symbol: observed(calendar.clock(first), times[symbol], start, end) for symbol in weights}
    seen.age = read_weighted(weights, ages) / 60
    seen.calls = sum(session[0] <= at < session[1] for _, at in seen.responses)
    seen.bound = lower_bound(list(weights.values()), 500 / (SESSION / timedelta(minutes=1)))
    return seen
