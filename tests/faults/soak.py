"""`python -m tests.faults.soak --minutes 60`: a market day in an hour, with everybody at work and something broken every now and then.

The day is compressed, not sped up: a limit's minute stays a minute, so the ledger's clock jumps over the dull hours. What is judged is
what the scenarios judge; what is reported beside it: calls, answers, ages, memory and files. One JSON object in the last line.
"""

import argparse
import asyncio
import json
import random
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import psycopg

from simulator.sessions import is_trading_day
from tests.faults import scenarios
from tests.faults.cluster import ALL, APIS, Cluster, open_cluster
from tests.faults.healing import heal
from tests.faults.judge import Judge
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.witnesses import Witnesses, watched

NEW_YORK = ZoneInfo("America/New_York")
DAY = ((0.0, "09:00"), (0.15, "09:29"), (0.45, "12:00"), (0.7, "15:59"))  # from that part of the run on it is so late
CALLS = 150  # a minute
GENTLE = (
    scenarios.away,
    scenarios.frozen,
    scenarios.cut,
    scenarios.far_provider,
    scenarios.odd_provider,
    scenarios.nagged,
)
QUIET = (20.0, 60.0)  # seconds between two faults
WARM = 0.2  # of the run, before memory is taken for the first time
LATE = 75.0  # seconds: a silent partition's, and a quarter for a notice's minute
BETWEEN = 1.0  # seconds between two looks


def spares_processes(scenario: Scenario) -> bool:
    """Nothing is killed in it but stores: a process begun anew says nothing of its memory."""
    broken = scenario.broken.args[0]  # type: ignore[attr-defined]
    return getattr(broken, "func", broken) in GENTLE


@dataclass
class Soak:
    """One run of so many seconds; `kib` and `files` of each process, after the warm-up and at the end."""

    cluster: Cluster
    witnesses: Witnesses
    seconds: float
    began: float = field(default_factory=time.monotonic)
    struck: Counter[str] = field(default_factory=Counter)
    late: list[str] = field(default_factory=list)
    kib: dict[str, list[int]] = field(default_factory=dict)
    files: dict[str, list[int]] = field(default_factory=dict)

    def part(self) -> float:
        return (time.monotonic() - self.began) / self.seconds

    async def run(self) -> None:
        days = asyncio.create_task(self._turn_hands())
        weighed = False
        while self.part() < 1:
            await asyncio.sleep(random.uniform(*QUIET))
            await self._break_something()
            if not weighed and self.part() > WARM:
                weighed = bool(self.weigh())
        self.weigh()
        days.cancel()

    async def _turn_hands(self) -> None:
        """A trading day, from before its opening until after its close."""
        day = datetime.now(NEW_YORK).date()
        while not is_trading_day(day):
            day += timedelta(days=1)
        for part, hour in DAY:
            await asyncio.sleep((part - self.part()) * self.seconds)
            then = datetime.fromisoformat(f"{day} {hour}").replace(tzinfo=NEW_YORK)
            await self._retry(partial(self.cluster.set_clock, (then - datetime.now(UTC)).total_seconds()))

    async def _retry(self, act: partial[None]) -> None:
        """What needs PostgreSQL waits for it."""
        while True:
            try:
                return await asyncio.to_thread(act)
            except psycopg.Error:
                await asyncio.sleep(BETWEEN)

    async def _break_something(self) -> None:
        scenario = random.choice([each for each in SCENARIOS if spares_processes(each)])
        self.struck[scenario.name] += 1
        self.witnesses.excused.update(scenario.behind)
        async with scenario.broken(self.cluster):
            await asyncio.sleep(scenario.lasts)
        healed = await heal(self.witnesses)
        self.witnesses.excused.clear()
        self.late += [f"{scenario.name}: {name} after {took:.0f} s" for name, took in healed.items() if took > LATE]
        print(f"{self.part():4.0%} {scenario.name}", flush=True)

    def weigh(self) -> bool:
        """Memory that is a process's own, and its files; of a worker with its children."""
        for name in ALL:
            family = self.cluster.family(name)
            self.kib.setdefault(name, []).append(sum(each.memory_full_info().uss for each in family) // 1024)
            self.files.setdefault(name, []).append(sum(each.num_fds() for each in family))
        return True

    async def layers(self) -> dict[str, int]:
        """Quotes that were found, by the layer that had them."""
        found = Counter[str]()
        for name in APIS:
            async with self.cluster.stack.http.get(f"http://127.0.0.1:{self.cluster.metrics[name]}/metrics") as answer:
                lines = re.findall(r'cache_lookups_total\{layer="(\w+)",outcome="hit"\} ([\d.]+)', await answer.text())
            found.update({layer: int(float(count)) for layer, count in lines})
        return dict(found)

    async def report(self, calls: int) -> dict[str, object]:
        witnesses, lasted = self.witnesses, time.monotonic() - self.began
        growth = {name: round(last / first, 3) for name, (first, last) in self.kib.items()}
        return {
            "minutes": round(lasted / 60, 1),
            "faults_struck": sum(self.struck.values()),
            "calls": calls,
            "utilisation": round(calls / (lasted * CALLS / 60), 3),
            "answers": {str(status): count for status, count in sorted(witnesses.statuses.items())},
            "layers": await self.layers(),
            "stale_share": round(witnesses.ages["stale"] / max(1, witnesses.ages.total()), 3),
            "broken_promises": {kind: len(told) for kind, told in witnesses.faults.items()},
            "late": self.late,
            "memory_growth": growth,
            "worst_memory_growth": max(growth.values()),
            "files": self.files,
        }


async def soak(minutes: float) -> int:
    async with open_cluster(f"{CALLS}/1min", MARKET_HOURS="nyse") as cluster, watched(cluster) as witnesses:
        witnesses.clock_is_true = False
        judge, run = Judge(witnesses), Soak(cluster, witnesses, minutes * 60)
        await run.run()
        await judge.judge()
        told = await run.report(judge.calls)
    for kind, words in witnesses.faults.items():
        print(f"{kind}: {words[:10]}")
    print(json.dumps(told))
    return int(bool(witnesses.faults or run.late or run_grew(told)))


def run_grew(told: dict[str, object]) -> bool:
    return float(str(told["worst_memory_growth"])) > 1.1


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--minutes", type=float, default=60.0)
    sys.exit(asyncio.run(soak(words.parse_args().minutes)))
