"""`python -m tests.faults.soak --minutes 60`: a market day in an hour, with all clients and a random fault now and then.

A second stays a second; the ledger's clock jumps over the dull hours. The checks are those of the scenarios; the report adds
calls, answers, ages, memory and open files. One JSON object in the last line.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from statistics import median

import psycopg

from common.core.calendar.trading_day import NEW_YORK
from common.market_calendar import open_calendar
from simulator.market.sessions import is_trading_day
from tests.faults.cluster import ALL, APIS, CALLS, PERIOD, Cluster, open_cluster
from tests.faults.metrics import count_hits
from tests.faults.observers import Observers, observed
from tests.faults.recovery import MAX_RECOVERY, measure_recovery, run_scenario
from tests.faults.scenarios import SCENARIOS
from tests.faults.verdict import Verdict

OPENING = "09:00"
HOURS = ((0.15, "09:29"), (0.45, "12:00"), (0.7, "15:59"))  # from that part of the run on it is so late
HALF_LIFE = "0.05"  # hours: a symbol that was read once is wanted for three minutes of the shorter day
QUIET = (20.0, 60.0)  # seconds between two faults
WARM_UP = 0.2  # of the run, before memory is measured first
MAX_GROWTH = 1.1  # times the memory after the warm-up
SAMPLE_INTERVAL = 10.0  # seconds between two samples of the quotes' ages
MEMORY_SAMPLES = 9  # a measurement is their median
MEMORY_INTERVAL = 1.0  # seconds between two of them
REPEATABLE = [scenario for scenario in SCENARIOS if scenario.true_clock and not scenario.ends_processes]
AGES = """
    SELECT ledger_now(), avg(extract(epoch FROM ledger_now() - fetched_at))
    FROM quotes JOIN symbols USING (symbol)
    WHERE source = 'simulated' AND (watchers > 0 OR pinned OR decayed(reads, reads_at, ledger_now(), '3 minutes') >= 0.5)
"""


def seconds_until(hour: str) -> float:
    """Seconds to that hour of the next trading day in New York; the clock must not go back."""
    day = datetime.now(NEW_YORK).date() + timedelta(days=1)
    while not is_trading_day(day):
        day += timedelta(days=1)
    return (datetime.fromisoformat(f"{day} {hour}").replace(tzinfo=NEW_YORK) - datetime.now(UTC)).total_seconds()


@dataclass
class Soak:
    """One run of so many seconds; `kib` and `files` of each process, after the warm-up and at the end; `closed`: the market;
    `ages`: means while it was open, and `open_calls` of the provider in so many `open_seconds`."""

    verdict: Verdict
    seconds: float
    began: float = field(default_factory=time.monotonic)
    hours: list[tuple[float, str]] = field(default_factory=lambda: list(HOURS))
    struck: Counter[str] = field(default_factory=Counter)
    late: list[str] = field(default_factory=list)
    kib: dict[str, list[float]] = field(default_factory=dict)
    files: dict[str, list[int]] = field(default_factory=dict)
    ages: list[float] = field(default_factory=list)
    closed: bool = True
    open_calls: int = 0
    open_seconds: float = 0.0

    @property
    def observers(self) -> Observers:
        return self.verdict.observers

    @property
    def cluster(self) -> Cluster:
        return self.verdict.observers.cluster

    def part(self) -> float:
        return (time.monotonic() - self.began) / self.seconds

    async def run(self) -> None:
        async with asyncio.TaskGroup() as beside:
            sampling = beside.create_task(self._sample_ages())
            while self.part() < 1:
                await self._advance_clock()
                await asyncio.sleep(random.uniform(*QUIET))
                await self._inject_fault()
                if not self.kib and self.part() > WARM_UP:
                    await self.measure_memory()
            await self.measure_memory()
            sampling.cancel()

    async def _advance_clock(self) -> None:
        """Jump to the next hour when it is time; the ledger notices the jump and holds for a while."""
        if self.hours and self.part() > self.hours[0][0]:
            _, hour = self.hours.pop(0)
            await self.cluster.set_clock(seconds_until(hour))
            recovered = await measure_recovery(self.observers)
            self.late += [f"{hour}: {name}" for name, took in recovered.items() if took > MAX_RECOVERY]

    async def _inject_fault(self) -> None:
        scenario = replace(random.choice(REPEATABLE), true_clock=False, quiet=self.closed)
        self.struck[scenario.name] += 1
        recovered = await run_scenario(scenario, self.observers)
        await self.verdict.check()
        late = {name: round(took) for name, took in recovered.items() if took > scenario.bound(name)}
        self.late += [f"{scenario.name}: {late}"] if late else []
        print(f"{self.part():4.0%} {scenario.name} {late or ''}", flush=True)

    async def _sample_ages(self) -> None:
        """Sample ages by the ledger's own clock; skip a sample when PostgreSQL is away."""
        before: tuple[float, int] | None = None
        while True:
            with suppress(psycopg.Error):
                [(now, age)] = await self.cluster.execute(AGES)
                counted = time.monotonic(), (await self.cluster.stack.calls(since=sys.maxsize))["total"]
                is_open = open_calendar("nyse", now).is_open(now)
                self.closed = not is_open
                if is_open and age is not None:
                    self.ages.append(float(age))
                if is_open and before is not None:
                    self.open_seconds += counted[0] - before[0]
                    self.open_calls += counted[1] - before[1]
                before = counted if is_open else None
            await asyncio.sleep(SAMPLE_INTERVAL)

    async def measure_memory(self) -> None:
        """Measure the private memory and the open files of each process and its children."""
        samples: list[dict[str, int]] = []
        for _ in range(MEMORY_SAMPLES):
            families = {name: self.cluster.family(name) for name in ALL}
            samples.append(
                {name: sum(each.memory_full_info().uss for each in family) for name, family in families.items()}
            )
            await asyncio.sleep(MEMORY_INTERVAL)
        for name in ALL:
            self.kib.setdefault(name, []).append(median(each[name] for each in samples) / 1024)
            self.files.setdefault(name, []).append(sum(each.num_fds() for each in self.cluster.family(name)))

    def growth(self) -> dict[str, float]:
        return {name: round(last / first, 3) for name, (first, last) in self.kib.items() if first}

    async def report(self) -> dict[str, object]:
        layers = sum([await count_hits(self.cluster, name) for name in APIS], Counter[str]())
        return {
            "minutes": round((time.monotonic() - self.began) / 60, 1),
            "faults_struck": sum(self.struck.values()),
            "calls": self.verdict.calls,
            "over_limit": self.verdict.over_limit,
            "utilisation": round(self.open_calls / max(1.0, self.open_seconds * CALLS / PERIOD), 3),
            "answers": {str(status): count for status, count in sorted(self.observers.statuses.items())},
            "layers": dict(layers),
            "mean_age_s": round(median(self.ages), 1)
            if self.ages
            else None,  # after a jump all are hours old for a while
            "broken_promises": {kind: len(details) for kind, details in self.observers.violations.items()},
            "late": self.late,
            "memory_growth": self.growth(),
            "worst_memory_growth": max(self.growth().values()),
            "files": self.files,
        }


@asynccontextmanager
async def open_soak(seconds: float) -> AsyncIterator[Soak]:
    settings = {"MARKET_HOURS": "nyse", "READS_HALF_LIFE": HALF_LIFE}
    async with open_cluster(seconds_until(OPENING), **settings) as cluster, observed(cluster) as observers:
        observers.clock_is_true = False
        await measure_recovery(observers)
        yield Soak(Verdict(observers), seconds)


async def soak(minutes: float) -> int:
    async with open_soak(minutes * 60) as run:
        await run.run()
        report = await run.report()
    for kind, words in run.observers.violations.items():
        print(f"{kind}: {words[:10]}")
    print(json.dumps(report))
    return int(bool(run.observers.violations or run.late or max(run.growth().values()) > MAX_GROWTH))


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--minutes", type=float, default=60.0)
    sys.exit(asyncio.run(soak(words.parse_args().minutes)))
