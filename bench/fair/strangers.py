"""What people without a token can take of a free key's day, and whether the watched symbols have their close all the same.

From Monday's close to Tuesday's midnight in New York, so that two evenings' sweeps lie in it.
"""

import itertools
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from bench.fair.market import ACCOUNTS, DAY_CALLS, LISTED, WATCHED, begin_free, watched_symbols
from bench.fair.people import ask_live, count_reads, days_behind
from bench.fair.windows import most_a_day, of_class, over_limit
from bench.virtual import Call, Day, open_day
from common.core.models import CallClass, Function
from common.core.provider.outcomes import Outcome
from common.process.settings import Settings

START = datetime(2026, 11, 16, 21, tzinfo=UTC)  # Monday's close
MIDNIGHTS = tuple(datetime(2026, 11, day, 5, tzinfo=UTC) for day in (17, 18))  # in New York, after Monday and Tuesday
GROUP = timedelta(seconds=20)  # strangers' requests come at once, to spare the machine
FLUSH = timedelta(minutes=10)  # readers are counted


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
