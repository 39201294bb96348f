"""What the scenes begin with: symbols and who watches them, a free key's evening or a standard key's session."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from bench.ages import mean_read_age
from bench.fair.people import add_to_list, list_symbols, open_accounts, quote
from bench.virtual import Call, Day, watch
from common.core.budget.staleness import lower_bound, zipf
from common.core.calendar.clock import Calendar
from common.core.models import Function
from common.core.provider.outcomes import Outcome
from common.store.budget.ledger import Grant

OPEN = datetime(2026, 11, 16, 14, 30, tzinfo=UTC)  # Monday's open
CLOSE_DELAY = timedelta(hours=2, minutes=30)  # from a close until the provider has it
DAY_CALLS = 25  # of a free key
WATCHED, ACCOUNTS = 15, 5  # of a free key
LISTED = 5_000  # symbols that nobody watches
CROWD = 50  # watched symbols of a standard key


def crowd() -> dict[str, int]:
    """Symbols and their watchers, Zipf(1) by rank."""
    return {f"W{rank:03}": round(10 * weight) for rank, weight in enumerate(zipf(CROWD), 1)}


def age_ratio(
    calls: list[Call], weights: Mapping[str, int], *, start: datetime, warm: timedelta, per_minute: float
) -> float:
    """The read-weighted mean age since the last response, from the end of the warm-up to the last call, over the bound. All were
    refreshed at `start`."""
    answered = [call for call in calls if call.outcome is Outcome.OK]
    responses = ((symbol, call.ended.timestamp()) for call in answered for symbol in call.subjects)
    begin, end = (start + warm).timestamp(), max(call.at for call in calls).timestamp()
    age = mean_read_age(weights, responses, dict.fromkeys(weights, start.timestamp()), begin, end) / 60
    return age / lower_bound([float(weight) for weight in weights.values()], per_minute)


def prices_of_the_evening(calendar: Calendar, now: datetime) -> date:
    """The newest close that the provider has."""
    closed = calendar.last_closed(now - CLOSE_DELAY)
    if closed is None:
        raise RuntimeError(f"expected a session before {now}")
    return calendar.sessions[closed - 1][0].date()


def watched_symbols(count: int) -> list[str]:
    return [f"W{n:03}" for n in range(1, count + 1)]


def knows_listed(grant: Grant, _now: datetime) -> Outcome:
    """A search is answered whatever it is for; nonsense has no data."""
    nonsense = grant.function is not Function.SEARCH and any(symbol.startswith("X") for symbol in grant.subjects)
    return Outcome.NO_DATA if nonsense else Outcome.OK


async def begin_free(day: Day, watched: Sequence[str], accounts: int) -> list[int]:
    """A free key's usual day: a listing, and the lists of some accounts, every third symbol on two of them, all with the last close."""
    day.trading_day, day.provider = prices_of_the_evening, knows_listed
    await list_symbols(day, [*watched, *(f"L{n:04}" for n in range(LISTED))])
    users = await open_accounts(day, accounts)
    for n, symbol in enumerate(watched):
        for user in {users[n % accounts], users[(n // 3) % accounts]}:
            await add_to_list(day, user, symbol, known=True)
    await quote(day, watched)
    return users


async def begin_standard(
    day: Day, watchers: Mapping[str, int], *, listed: Iterable[str] = (), accounts: int = 0
) -> list[int]:
    """Watched symbols with quotes of now, a listing that knows these and `listed`, and new accounts, whose ids are returned."""
    await list_symbols(day, [*watchers, *listed])
    await watch(day, watchers)
    await quote(day, list(watchers))
    return await open_accounts(day, accounts)
