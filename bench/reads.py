"""Readers of the API: each read from another loopback address, for a read counts once per address, symbol and minute. Linux only."""

import asyncio
import random
from collections.abc import Mapping

MOST_AT_ONCE = 40
PATIENCE = 10.0  # seconds


async def read_for(
    port: int, weights: Mapping[str, float], *, seconds: float, per_second: float, least: float = 0.99
) -> int:
    """Read symbols in proportion to their weights at a steady rate; how many reads were answered with a price.

    `RuntimeError` if it is a smaller share of them than `least`.
    """
    chance, loop = random.Random(2), asyncio.get_running_loop()  # nosec B311
    symbols, begun = chance.choices(list(weights), list(weights.values()), k=int(seconds * per_second)), loop.time()
    places, done = asyncio.Semaphore(MOST_AT_ONCE), 0

    async def read(symbol: str) -> None:
        nonlocal done
        async with places:
            answered = await _read(port, symbol, _address(chance))
        done += answered

    async with asyncio.TaskGroup() as readers:
        for number, symbol in enumerate(symbols):
            await asyncio.sleep(max(0.0, begun + number / per_second - loop.time()))
            readers.create_task(read(symbol))
    if done < least * len(symbols):
        raise RuntimeError(f"expected {len(symbols)} reads to be answered, not {done}")
    return done


def _address(chance: random.Random) -> str:
    return f"127.{chance.randrange(1, 255)}.{chance.randrange(256)}.{chance.randrange(1, 255)}"


async def _read(port: int, symbol: str, address: str) -> bool:
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
        writer.write(f"GET /api/stock/{symbol} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
    return answer.startswith(b"HTTP/1.1 200") and b'price"' in answer  # `price` of ours, `05. price` of the provider
