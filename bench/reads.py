"""Readers of the API: each read from another loopback network (/24), for a network counts once an hour for a symbol. Linux only."""

import asyncio
import random
from collections.abc import Mapping

MAX_CONCURRENT = 40
NETWORKS = 254 * 256  # /24 in 127.0.0.0/8, without the first and the last /16: the most reads of one run
ANSWER_TIMEOUT = 20.0  # seconds; a miss alone may take the 12 s of MISS_WAIT


async def read_for(
    port: int, weights: Mapping[str, float], *, seconds: float, per_second: float, least: float = 0.99
) -> int:
    """Read symbols in proportion to their weights at a steady rate; how many reads were answered with a price.

    `RuntimeError` if it is a smaller share of them than `least`.
    """
    chance, loop = random.Random(2), asyncio.get_running_loop()  # nosec B311
    symbols = chance.choices(list(weights), list(weights.values()), k=int(seconds * per_second))
    networks, begun = chance.sample(range(NETWORKS), len(symbols)), loop.time()
    places, done = asyncio.Semaphore(MAX_CONCURRENT), 0

    async def read(symbol: str, address: str) -> None:
        nonlocal done
        async with places:
            answered = await _read(port, symbol, address)
        done += answered

    async with asyncio.TaskGroup() as readers:
        for number, (symbol, network) in enumerate(zip(symbols, networks, strict=True)):
            await asyncio.sleep(max(0.0, begun + number / per_second - loop.time()))
            readers.create_task(read(symbol, _address(network)))
    if done < least * len(symbols):
        raise RuntimeError(f"expected {len(symbols)} reads to be answered, not {done}")
    return done


def _address(network: int) -> str:
    return f"127.{1 + network // 256}.{network % 256}.1"


async def _read(port: int, symbol: str, address: str) -> bool:
    async with asyncio.timeout(ANSWER_TIMEOUT):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
        writer.write(f"GET /api/stock/{symbol} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
    return answer.startswith(b"HTTP/1.1 200") and b'price"' in answer  # `price` of ours, `05. price` of the provider
