"""Runs with the real processes: beat, a Celery worker of two processes, the simulator, and the API where reads are the weights.

The rate is scaled, the window of 60 s is not. A run starts as a system that has been running: ages at the stationary
distribution, and a journal that holds the calls of the minute before.
"""

import asyncio
import json
import random
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.ages import mean_read_age, stationary
from bench.reads import read_for
from bench.stage import Stage, answers, open_stage
from common.core.budget.staleness import lower_bound, zipf
from common.core.limits import parse_limits, slowest

LATENCY = 0.05  # seconds, the simulator's
RESPONSE_MARGIN = 1.0  # seconds after the window in which its last responses come

HOLD = "INSERT INTO ledgers (account, held_until, held_for) VALUES (%s, now() + interval '1 day', 'bench')"
RELEASE = "UPDATE ledgers SET held_until = NULL, held_for = NULL WHERE account = %s"
NOW = "SELECT extract(epoch FROM ledger_now())::float8"
CONNECTED = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'quotewell-worker' AND datname = current_database()"
)
INSERT_SYMBOL = """
    INSERT INTO symbols (symbol, watchers, source, clock) VALUES (%(symbol)s, %(watchers)s, %(source)s, %(at)s)
    ON CONFLICT (symbol) DO UPDATE SET watchers = excluded.watchers, source = excluded.source, clock = excluded.clock
"""
INSERT_FAILED = """
    INSERT INTO attempts (account, symbol, at, failures, quarantined_until)
    VALUES (%(account)s, %(symbol)s, to_timestamp(%(at)s), %(failures)s, to_timestamp(%(at)s))
"""
INSERT_QUOTE = """
    INSERT INTO quotes (symbol, source, price, trading_day, fetched_at, published_at)
    VALUES (%(symbol)s, %(source)s, 1, current_date, now() - interval '1 hour', now())
"""
# The n-th newest of these ended a minute ago, less one gap: from here on a slot comes free every gap, as in a running system.
INSERT_MINUTE = """
    INSERT INTO calls (account, function, subjects, class, granted_at, ends_at, outcome, caller)
    SELECT %(account)s, 'GLOBAL_QUOTE', '{BEFORE}', 'refresh', ended - make_interval(secs => %(latency)s), ended, 'ok', 'before'
    FROM (
        SELECT ledger_now() - (interval '1 minute' * (n - 1)) / %(calls)s AS ended FROM generate_series(1, %(calls)s) AS n
    ) AS minute
"""
SELECT_CALLS = """
    SELECT subjects[1], extract(epoch FROM granted_at)::float8, extract(epoch FROM ends_at)::float8, outcome
    FROM calls WHERE caller <> 'before' ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """One run: `symbols` at `limits`, every `dead_every`-th without data, weights known or learnt from reads.

    Measured for `seconds` after `warm` seconds; both together are more than the limit's window.
    """

    name: str
    symbols: int
    limits: str
    warm: float
    seconds: float
    dead_every: int = 0
    reads_per_second: float = 0.0

    @property
    def per_second(self) -> float:
        return slowest(parse_limits(self.limits, "limits")).per_minute / 60

    @property
    def weights(self) -> dict[str, float]:
        """Zipf(1), as the table holds it: whole watchers, or else the true distribution of the reads."""
        exact = zipf(self.symbols)
        known = exact if self.reads_per_second else [float(max(1, round(weight))) for weight in exact]
        return {f"SIM{number:04}": weight for number, weight in enumerate(known, 1)}

    @property
    def dead(self) -> frozenset[str]:
        return frozenset(list(self.weights)[self.dead_every // 2 :: self.dead_every] if self.dead_every else ())


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a scene: ages in seconds, `used` of the calls that were allowed, and the simulator's own count."""

    scene: Scene
    age: float
    bound: float
    used: float
    calls: int
    refused: int
    over_limit: int
    most_in_window: int

    @property
    def ratio(self) -> float:
        return self.age / self.bound


def play(urls: Mapping[str, str], folder: Path, scene: Scene) -> Outcome:
    """Play a scene and look at its journal."""
    with open_stage(
        urls,
        folder,
        scene.name,
        PROVIDER_LIMITS=scene.limits,
        SIMULATOR_EXTRA_SYMBOLS=str(scene.symbols),
        SIMULATOR_DEAD_SYMBOLS=",".join(sorted(scene.dead)),
        SIMULATOR_LATENCY=str(LATENCY),
        OVERVIEW_SYMBOLS="SIM0001",
    ) as stage:
        with psycopg.connect(stage.settings.database_url, autocommit=True) as connection:
            _start(stage, connection, scene)
            ages = stationary(scene.weights, scene.per_second, random.Random(1))  # nosec B311
            begun = _load(stage, connection, scene, ages)
            _let_run(stage, scene)
            calls = connection.execute(SELECT_CALLS).fetchall()
        return _judge(scene, ages, begun, calls, _count_of(stage))


def _start(stage: Stage, connection: psycopg.Connection, scene: Scene) -> None:
    """Start everything under a hold, so that no call is made before the symbols are inserted."""
    connection.execute(HOLD, [stage.settings.account])
    stage.start("simulator", "worker", "beat", *(["api"] if scene.reads_per_second else []))
    stage.wait_until(lambda: answers(f"{stage.simulator}/_limits"), "the simulator")
    stage.wait_until(lambda: _number(connection, CONNECTED) >= 2, "two worker processes at the line")
    if scene.reads_per_second:
        stage.wait_until(lambda: answers(f"http://127.0.0.1:{stage.settings.port}/api/health"), "the API")


def _load(stage: Stage, connection: psycopg.Connection, scene: Scene, ages: Mapping[str, float]) -> float:
    """Insert the symbols and the calls of the minute before, and end the hold; the ledger's time, in unix seconds."""
    account, failing = stage.settings.account, sorted(scene.dead)
    failures = {symbol: 1 + number % 3 for number, symbol in enumerate(failing)}
    with connection.transaction():
        now = _number(connection, NOW)
        rows = [
            {
                "symbol": symbol,
                "watchers": 0 if scene.reads_per_second else int(weight),
                "account": account,
                "source": stage.settings.source,
                "at": now - ages[symbol],
                "failures": failures.get(symbol, 0),
            }
            for symbol, weight in scene.weights.items()
        ]
        insert_quoted(connection, rows)
        connection.cursor().executemany(INSERT_FAILED, [row for row in rows if row["failures"]])
        calls = slowest(stage.settings.limits).calls
        connection.execute(INSERT_MINUTE, {"account": account, "calls": calls, "latency": LATENCY})
        connection.execute(RELEASE, [account])
    return now


def insert_quoted(connection: psycopg.Connection, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert symbols with an hour-old quote each; a row: `symbol`, `watchers`, `source`, and `at`, the unix time of its last answer."""
    cursor = connection.cursor()
    cursor.executemany(INSERT_SYMBOL, rows)
    cursor.executemany(INSERT_QUOTE, rows)


def _let_run(stage: Stage, scene: Scene) -> None:
    seconds = scene.warm + scene.seconds + RESPONSE_MARGIN
    if scene.reads_per_second:
        asyncio.run(read_for(stage.settings.port, scene.weights, seconds=seconds, per_second=scene.reads_per_second))
    else:
        time.sleep(seconds)


def _judge(
    scene: Scene,
    ages: Mapping[str, float],
    begun: float,
    calls: Sequence[tuple[str, float, float, str | None]],
    counted: Mapping[str, int],
) -> Outcome:
    """A price is as old as its response, not as its request; only `ok` makes it young."""
    start, end = begun + scene.warm, begun + scene.warm + scene.seconds
    weights = {symbol: weight for symbol, weight in scene.weights.items() if symbol not in scene.dead}
    responses = ((symbol, at) for symbol, _, at, outcome in calls if outcome == "ok")
    before = {symbol: begun - age for symbol, age in ages.items()}
    granted = [outcome for _, at, _, outcome in calls if start <= at < end and outcome != "unsent"]
    return Outcome(
        scene,
        mean_read_age(weights, responses, before, start, end),
        60 * lower_bound(list(weights.values()), 60 * scene.per_second),
        len(granted) / (scene.per_second * scene.seconds),
        len(granted),
        sum(outcome != "ok" for outcome in granted),
        counted["over_limit"],
        counted["most"],
    )


def _count_of(stage: Stage) -> dict[str, int]:
    """The simulator's own judgement of every call that it ever got."""
    with urllib.request.urlopen(f"{stage.simulator}/_calls?since=1000000", timeout=10) as answer:  # nosec B310
        report = json.load(answer)
    return {"over_limit": report["over_limit"], "most": max(report["max_in_window"].values())}


def _number(connection: psycopg.Connection, statement: str) -> float:
    row = connection.execute(statement).fetchone()
    return float(row[0]) if row else 0.0
