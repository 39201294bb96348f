"""`make bench-stream`: many Server-Sent Events clients on one real API process, events through the real Redis stream.

The server has one core, all else (stores, clients, publisher) the other. What a client is stands in bench/stream_reader.py.
"""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from statistics import quantiles
from subprocess import Popen  # nosec B404: our own entries

import psutil
from redis.asyncio import Redis

from bench.run import allow_files, open_stores, run
from bench.stage import Stage, answers, open_stage
from bench.stream.reader import HEAD, SYMBOLS_PER_CLIENT, Reader, Seen
from common.core.models import Price, Quote
from common.process.resources import open_redis
from common.store.market import feed

CLIENTS = 5000
SYMBOLS = [f"SIM{number:03}" for number in range(200)]
PER_SECOND = 20.0  # events
SECONDS = 60.0
WARM = 5.0  # seconds
MAX_OPENING = 100  # connections under way
FILES = CLIENTS + 1000
ARRIVAL_TIMEOUT = 10.0  # seconds, once nothing is published any more
CORES = sorted(os.sched_getaffinity(0))


def run_server(urls: Mapping[str, str], folder: Path) -> dict[str, float]:
    limits = {"CONNECTION_LIMIT": str(CLIENTS), "STREAM_LIMIT": str(CLIENTS)}
    with open_stage(urls, folder, "stream", OVERVIEW_SYMBOLS=SYMBOLS[0], **limits) as stage:
        os.sched_setaffinity(0, CORES[:1])  # what is started now inherits it
        stage.start("api")
        os.sched_setaffinity(0, CORES[-1:])
        stage.wait_until(lambda: answers(f"http://127.0.0.1:{stage.settings.port}/api/health"), "the API")
        return asyncio.run(measure(stage))


async def measure(stage: Stage) -> dict[str, float]:
    seen, chance, server = Seen(), random.Random(5), stage.children[0]  # nosec B311
    process = psutil.Process(server.pid)
    redis = open_redis(stage.settings.redis_url, timeout=5)
    for symbol in SYMBOLS:
        await publish(redis, seen, symbol)
    await connect(stage.settings.port, seen, chance, 1)  # what is loaded and remembered once is not a client's
    before = process.memory_info().rss
    begun = time.monotonic()
    readers = await connect(stage.settings.port, seen, chance, CLIENTS - 1)
    connecting = time.monotonic() - begun
    await publish_steadily(redis, seen, chance, WARM)
    seen.measuring, busy = True, sum(process.cpu_times()[:2])
    highest = await publish_steadily(redis, seen, chance, SECONDS, process)
    busy = sum(process.cpu_times()[:2]) - busy
    lost = await settle(seen, readers)
    await redis.aclose()
    ending = await end(server, stage)
    hundredths = quantiles(seen.delays, n=100)
    p50, p99, worst = (1000 * seconds for seconds in (hundredths[49], hundredths[98], max(seen.delays)))
    kib = (highest - before) / 1024 / len(readers)
    print(
        f"{CLIENTS} clients with {SYMBOLS_PER_CLIENT} of {len(SYMBOLS)} symbols, {PER_SECOND:g} events a second for {SECONDS:g} s\n"
        f"publish to client: p50 {p50:.1f} ms, p99 {p99:.1f} ms, worst {worst:.1f} ms\n"
        f"server: {kib:.1f} KiB a client, {busy / SECONDS:.0%} of its core\n"
        f"lost {lost}, went back {seen.went_back}; connected in {connecting:.1f} s; "
        f"on SIGTERM {seen.ended} streams ended cleanly, gone after {ending:.2f} s"
    )
    return {"clients": CLIENTS, "p99_ms": round(p99, 1), "kib_per_client": round(kib, 1), "lost": lost}


async def connect(port: int, seen: Seen, chance: random.Random, clients: int) -> list[Reader]:
    """Clients that have all their current quotes."""
    places = asyncio.Semaphore(MAX_OPENING)

    async def open_one() -> Reader:
        request = HEAD.format(symbols=",".join(chance.sample(SYMBOLS, SYMBOLS_PER_CLIENT)), port=port).encode()
        async with places:
            _, reader = await asyncio.get_running_loop().create_connection(
                lambda: Reader(seen, request), "127.0.0.1", port
            )
            await reader.snapshot
        return reader

    return await asyncio.gather(*(open_one() for _ in range(clients)))


async def publish(redis: Redis, seen: Seen, symbol: str) -> None:
    number = len(seen.published)
    now, some = datetime.now(UTC), Decimal("123.45")
    price = Price(symbol, Decimal(number), now.date(), some, some, 1_000_000, some, some, some, some)
    quote = Quote(price, "simulated", now)
    seen.published.append(time.monotonic())
    seen.newest[symbol] = number
    if not await feed.publish(redis, quote):
        raise RuntimeError(f"{symbol} was not published")


async def publish_steadily(
    redis: Redis, seen: Seen, chance: random.Random, seconds: float, process: psutil.Process | None = None
) -> int:
    """Events at a steady rate, each symbol as often as the others; the highest memory of the process, in bytes."""
    begun, highest = time.monotonic(), 0
    for number in range(int(seconds * PER_SECOND)):
        if number % len(SYMBOLS) == 0:
            turn = chance.sample(SYMBOLS, len(SYMBOLS))
        await asyncio.sleep(max(0.0, begun + number / PER_SECOND - time.monotonic()))
        await publish(redis, seen, turn[number % len(SYMBOLS)])
        if process is not None and number % int(PER_SECOND) == 0:
            highest = max(highest, process.memory_info().rss)
    return highest


async def settle(seen: Seen, readers: Sequence[Reader]) -> int:
    """How many states of clients are not the newest, once all had the time to be."""
    deadline = time.monotonic() + ARRIVAL_TIMEOUT
    while True:
        lost = sum(
            number != seen.newest[symbol] for reader in readers for symbol, number in reader.newest.items()
        ) + sum(SYMBOLS_PER_CLIENT - len(reader.newest) for reader in readers)
        if not lost or time.monotonic() > deadline:
            return lost
        await asyncio.sleep(0.2)


async def end(server: Popen[bytes], stage: Stage) -> float:
    """Seconds from SIGTERM until the process is gone."""
    begun = time.monotonic()
    server.send_signal(signal.SIGTERM)
    await asyncio.to_thread(server.wait, 30)
    stage.children.remove(server)
    return time.monotonic() - begun


def measure_on_stores() -> dict[str, float]:
    allow_files(FILES)
    os.sched_setaffinity(0, CORES[-1:])  # the stores inherit it
    with open_stores() as (urls, folder):
        return run_server(urls, folder)


if __name__ == "__main__":
    sys.exit(run(measure_on_stores))
