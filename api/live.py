"""Asking the provider while somebody waits: stand in the line, work it, and come back with the answer or a reason, in bounded time.

For a symbol's first quote, a chart and a search alike. Whoever is granted a call makes it, whoever's demand it serves.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from common import line
from common.core.models import Function, Purpose
from common.core.outcomes import Outcome
from common.errors import (
    Overloaded,
    ProviderUnavailable,
    QuotePending,
    QuotewellError,
    RateLimited,
    UnknownSymbol,
)
from common.provider import Permit
from common.resources import Resources
from common.store import line as rows
from common.store.pool import connection

T = TypeVar("T")
log = structlog.get_logger(__name__)
MINUTE = 60  # seconds


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked live, by whom (a hash), and for how many seconds somebody waits."""

    function: Function
    subject: str
    asker: str
    wait: float


class Live:
    """The calls of one process that serve somebody who waits."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._calls: set[asyncio.Task[Outcome]] = set()
        self._aside: set[asyncio.Task[None]] = set()
        self._refreshing: set[tuple[str, str]] = set()

    async def obtain(
        self,
        wish: Wish,
        *,
        look: Callable[[], Awaitable[T | None]],
        unknown: Callable[[], Awaitable[bool]],
        arrival: asyncio.Event | None = None,
    ) -> T:
        """What `look` finds once the call was made, by whomever; `arrival`, if there is one, wakes it early.

        Raise `UnknownSymbol` if `unknown` says that there is nothing, `RateLimited`, `Overloaded`, `ProviderUnavailable`, or
        `QuotePending` when the time is over; the demand stays.
        """
        until = time.monotonic() + wish.wait
        if await unknown():
            raise UnknownSymbol(f"the provider does not have {wish.subject}")
        await self._join(wish)
        while (found := await look()) is None:
            await self._refuse_hopeless(wish, look, unknown)
            if time.monotonic() >= until:
                raise await self._pending(wish)
            await self._wait_for_turn(wish, arrival or asyncio.Event(), until)
        return found

    def refresh(self, wish: Wish) -> None:
        """Ask aside for something newer than what was served; nobody waits for it, and nobody hears if it fails."""
        if (wish.function, wish.subject) not in self._refreshing:
            self._refreshing.add((wish.function, wish.subject))
            task = asyncio.create_task(self._refresh(wish))
            self._aside.add(task)
            task.add_done_callback(self._aside.discard)

    async def _refresh(self, wish: Wish) -> None:
        until = time.monotonic() + wish.wait
        try:
            await self._join(wish)
            while time.monotonic() < until and await self._stands(wish):
                await self._wait_for_turn(wish, asyncio.Event(), until)
        except QuotewellError as error:
            log.info("refresh_refused", function=wish.function, subject=wish.subject, code=error.code)
        finally:
            self._refreshing.discard((wish.function, wish.subject))

    async def _stands(self, wish: Wish) -> bool:
        async with connection(self._resources.db) as held:
            return await rows.select_rank(held, wish.function, wish.subject) is not None

    async def _join(self, wish: Wish) -> None:
        fair = self._resources.policy.misses_a_minute
        async with connection(self._resources.db) as held:
            verdict = await rows.join_line(
                held,
                wish.function,
                [wish.subject],
                Purpose.INTERACTIVE,
                stay=rows.INTERACTIVE_STAY,
                asker=wish.asker,
                fair=fair,
                source=self._resources.settings.source,
            )
        if verdict == "full":
            raise Overloaded("too many symbols are waited for", retry_after=MINUTE)
        if verdict == "unfair":
            raise RateLimited(f"expected at most {fair} symbols without a quote within a minute", retry_after=MINUTE)

    async def _refuse_hopeless(
        self, wish: Wish, look: Callable[[], Awaitable[T | None]], unknown: Callable[[], Awaitable[bool]]
    ) -> None:
        """A demand that left the line without an answer was refused: by the subject's fault, or the provider's."""
        if await self._stands(wish):
            return
        if await unknown():
            raise UnknownSymbol(f"the provider does not have {wish.subject}")
        if await look() is None:
            raise ProviderUnavailable(f"the provider does not answer for {wish.subject} now", retry_after=5)

    async def _wait_for_turn(self, wish: Wish, arrival: asyncio.Event, until: float) -> None:
        """Take a call if one is granted (whoever's it is); then sleep until something may have changed."""
        answer = await line.ask(self._resources)
        left = max(0.0, until - time.monotonic())
        if isinstance(answer, Permit):
            # The call outlives the request: a client that goes away must not lose what was paid for.
            call = asyncio.create_task(line.carry_out(self._resources, answer))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
            mine = wish.subject in answer.grant.subjects
            await asyncio.wait({call}, timeout=left if mine else min(line.PATIENCE, left))
            return
        try:
            async with asyncio.timeout(min(line.pause(answer), left)):
                await arrival.wait()
        except TimeoutError:
            return

    async def _pending(self, wish: Wish) -> QuotePending:
        """How long it should take: the rank in the line times the gap between two calls."""
        async with connection(self._resources.db) as held:
            rank = await rows.select_rank(held, wish.function, wish.subject)
        gap = self._resources.policy.gap.total_seconds()
        return QuotePending(f"the first answer for {wish.subject} is on its way", retry_after=(rank or 1) * gap)

    async def close(self) -> None:
        """Let calls under way finish."""
        for task in self._aside:
            task.cancel()
        if self._calls:
            await asyncio.wait(self._calls, timeout=12)
