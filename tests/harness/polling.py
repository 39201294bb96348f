"""Waiting for a condition, the one way in which tests wait."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp

T = TypeVar("T")
FIRST_DELAY, MAX_DELAY = 0.01, 0.05  # seconds between two looks
PATIENCE = 30.0  # seconds that a busy machine may take for what takes one: where only the end counts
BUSY = 4.0  # seconds that it may take beyond a bound: where something slower is to be told apart


async def eventually(
    condition: Callable[[], Awaitable[T | None]], *, within: float = PATIENCE, what: str = "it is so"
) -> T:
    """The first true value of a condition; fails when there is none within so many seconds. A lost connection counts as false."""
    deadline, delay = time.monotonic() + within, FIRST_DELAY
    while True:
        try:
            if value := await condition():
                return value
        except (aiohttp.ClientError, OSError):
            pass
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        await asyncio.sleep(delay)
        delay = min(1.5 * delay, MAX_DELAY)
