"""What people without a token can take of a free key's day, and whether the watched symbols have their close all the same.

From Monday's close to Tuesday's midnight in New York, so that two evenings' sweeps lie in it.
"""

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial

from bench.fair_day import Day, open_day
from bench.fair_judge import Call, most_a_day, of_class, over_limit
from bench.fair_people import (
    add_to_list,
    ask_live,
    count_reads,
    days_behind,
    list_symbols,
    open_accounts,
    quote,
)
from common.core.calendar.clock import Calendar
from common.core.models import CallClass, Function
from common.core.provider.outcomes import Outcome
from common.process.settings import Settings
from common.store.budget.ledger import Grant

DAY_CALLS = 25
WATCHED, ACCOUNTS, OVERLAP = 15, 5, 5
LISTED = 5_000
START = datetime(2026, 11, 16, 21, tzinfo=UTC)  # Monday's close
MIDNIGHTS = tuple(datetime(2026, 11, day, 5, tzinfo=UTC) for day in (17, 18))  # in New York, after Monday and Tuesday
APPEARS = timedelta(hours=2, minutes=30)  # after the close: when the provider has it
GROUP = timedelta(seconds=20)  # strangers' requests come at once, to spare the machine
FLUSH = timedelta(minutes=10)  # readers are counted


def prices_of_the_evening(calendar: Calendar, now: datetime) -> date:
    """The newest close that the provider has."""
    closed = calendar.last_closed(now - APPEARS)
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


@dataclass(slots=True)
class Strangers:
    """Networks that ask in turn for what costs a call, one request every `apart`."""

    networks: int
    apart: timedelta
    verdicts: Counter[str] = field(default_factory=Counter)
    _chance: random.Random = field(default_factory=lambda: random.Random(11))  # nosec B311
    _turn: Iterator[int] = field(default_factory=itertools.count)
    _read: set[tuple[str, str, int]] = field(default_factory=set)
    _reads: Counter[str] = field(default_factory=Counter)

    async def ask(self, day: Day) -> None:
        """The requests of one group, and the next group is planned."""
        for _ in range(GROUP // self.apart):
            await self._ask_one(day)
        day.plan(day.now + GROUP, partial(self.ask, day))

    async def _ask_one(self, day: Day) -> None:
        turn = next(self._turn)
        network = f"network:{turn % self.networks:016x}"
        function = (Function.QUOTE, Function.DAILY, Function.QUOTE, Function.SEARCH)[turn % 4]
        listed = (
            function is not Function.SEARCH and self._chance.random() < 0.5
        )  # a listed word is found without a call
        subject = f"L{self._chance.randrange(LISTED):04}" if listed else f"X{self._chance.randrange(100_000):05}"
        verdict = await ask_live(day, function, subject, CallClass.STRANGER, network)
        self.verdicts[verdict] += 1
        if verdict == "known":
            self._note_read(day, network, subject)

    def _note_read(self, day: Day, network: str, symbol: str) -> None:
        """A reader counts once an hour for a symbol."""
        read = (network, symbol, int(day.now.timestamp() // 3600))
        if read not in self._read:
            self._read.add(read)
            self._reads[symbol] += 1

    async def flush(self, day: Day) -> None:
        if self._reads:
            await count_reads(day, self._reads)
            self._reads.clear()
        day.plan(day.now + FLUSH, partial(self.flush, day))


@dataclass(frozen=True, slots=True)
class StrangersDay:
    """`share`: of a day's calls, what strangers took in their worst 24 hours. `closes`: watched symbols with the evening's close by
    midnight, in the worse of two evenings. `others`: symbols with a quote that strangers had asked for."""

    share: float
    closes: int
    others: int
    over: int
    calls: list[Call]
    verdicts: Counter[str]


async def measure(settings: Settings, networks: int) -> StrangersDay:
    """One network asks every 2 s; many together each second."""
    strangers = Strangers(networks, timedelta(seconds=2 if networks == 1 else 1))
    watched, closes = watched_symbols(WATCHED), []
    async with open_day(settings, START) as day:
        await begin_free(day, watched, ACCOUNTS)
        day.plan(START, partial(strangers.ask, day))
        day.plan(START + FLUSH, partial(strangers.flush, day))
        for midnight in MIDNIGHTS:
            await day.run(midnight)
            behind = await days_behind(day, watched)
            closes.append(sum(behind[symbol] == 0 for symbol in watched))
        taken = of_class(day.calls, CallClass.STRANGER)
        others = sum(call.function is Function.QUOTE and call.outcome is Outcome.OK for call in taken)
        share = most_a_day(taken) / DAY_CALLS
        over = over_limit(settings.limits, day.calls)
    return StrangersDay(share, min(closes), others, over, day.calls, strangers.verdicts)
