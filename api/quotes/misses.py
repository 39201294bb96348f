"""Asking the provider while somebody waits: queue the request, and come back with the answer or a reason, in bounded time.

For a symbol's first quote, a chart and a search alike. The process's dispatcher makes the calls (common/calls/dispatcher.py).
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import structlog
from aiohttp import web

from api.accounts.requesters import Requester
from api.quotes.promises import Promises
from common.calls.dispatcher import Dispatcher
from common.core.budget.holds import GATE_REASONS
from common.core.budget.shares import misses_a_minute
from common.core.models import CallClass, Function
from common.errors import (
    Overloaded,
    ProviderUnavailable,
    QuotePending,
    QuotewellError,
    RateLimited,
    UnknownSymbol,
)
from common.process.resources import Resources
from common.store.budget import queue, reports
from common.store.budget.ledger import select_now
from common.store.connection.pool import Connection, acquire

T = TypeVar("T")
log = structlog.get_logger(__name__)
MINUTE = 60  # seconds
RETRY = 5.0  # seconds, where nobody knows better
MAX_WAITING = 20  # requests of one requester that wait at once, in each process
MAX_QUEUE_TTL = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """What is asked live, by whom, and for how many seconds somebody waits."""

    function: Function
    subject: str
    by: Requester
    wait: float

    @property
    def key(self) -> tuple[Function, str]:
        return self.function, self.subject

    @property
    def call_class(self) -> CallClass:
        """Somebody with a token is a user; all others are strangers."""
        return CallClass.STRANGER if self.by.account is None else CallClass.USER


class Misses:
    """Requests of one process that somebody waits for."""

    def __init__(self, resources: Resources, dispatcher: Dispatcher) -> None:
        self._resources = resources
        self._dispatcher = dispatcher
        self._aside: set[asyncio.Task[None]] = set()
        self._refreshing: set[tuple[str, str]] = set()
        self._promises = Promises(resources)
        self._waiting: Counter[str] = Counter()

    async def obtain(
        self, fetch: FetchRequest, *, look: Callable[[], Awaitable[T | None]], unknown: Callable[[], Awaitable[bool]]
    ) -> T:
        """What `look` finds once the call was made, by whomever.

        Raise `UnknownSymbol` if `unknown` says that there is nothing, `RateLimited`, `Overloaded`, `ProviderUnavailable`, or
        `QuotePending` when the time is over; the request stays queued until the time that it names.
        """
        until = time.monotonic() + fetch.wait
        if await unknown():
            raise UnknownSymbol(f"the provider does not have {fetch.subject}")
        await self._enqueue(fetch)
        found = await self._wait(fetch, look, unknown, until) if self._may_wait(fetch) else await look()
        if found is None:
            raise await self._pending(fetch)
        return found

    def _may_wait(self, fetch: FetchRequest) -> bool:
        """One requester cannot hold all connections of a process; who may not wait is told when to come back."""
        return fetch.wait > 0 and self._waiting[fetch.by.name] < MAX_WAITING

    async def _wait(
        self,
        fetch: FetchRequest,
        look: Callable[[], Awaitable[T | None]],
        unknown: Callable[[], Awaitable[bool]],
        until: float,
    ) -> T | None:
        """While somebody waits this process makes calls; for whoever comes back later a worker does."""
        with self._counted(fetch), self._dispatcher.waiting(fetch.key) as waiter:
            while (found := await look()) is None:
                await self._refuse_hopeless(fetch, look, unknown)
                if (left := until - time.monotonic()) <= 0:
                    break
                await waiter.wait(left)
        return found

    @contextmanager
    def _counted(self, fetch: FetchRequest) -> Iterator[None]:
        self._waiting[fetch.by.name] += 1
        try:
            yield
        finally:
            self._waiting[fetch.by.name] -= 1
            if not self._waiting[fetch.by.name]:
                del self._waiting[fetch.by.name]

    def refresh(self, fetch: FetchRequest) -> None:
        """Ask aside for something newer than what was served; nobody waits for it, and nobody hears if it fails."""
        if fetch.key not in self._refreshing:
            self._refreshing.add(fetch.key)
            task = asyncio.create_task(self._refresh(fetch))
            self._aside.add(task)
            task.add_done_callback(self._aside.discard)

    async def _refresh(self, fetch: FetchRequest) -> None:
        until = time.monotonic() + fetch.wait
        try:
            await self._enqueue(fetch)
            with self._dispatcher.waiting(fetch.key) as waiter:
                while (left := until - time.monotonic()) > 0 and await self._is_queued(fetch):
                    await waiter.wait(left)
        except QuotewellError as error:
            log.info("refresh_refused", function=fetch.function, subject=fetch.subject, code=error.code)
        finally:
            self._refreshing.discard(fetch.key)

    async def _is_queued(self, fetch: FetchRequest) -> bool:
        async with acquire(self._resources.db) as connection:
            return bool(await queue.select_queued(connection, [fetch.key]))

    async def _enqueue(self, fetch: FetchRequest) -> None:
        resources = self._resources
        most = misses_a_minute(resources.budget.limits)
        async with acquire(resources.db) as connection:
            verdict = await queue.enqueue(
                connection,
                resources.budget,
                fetch.function,
                [fetch.subject],
                fetch.call_class,
                requester=fetch.by.name,
                most=most,
            )
            if verdict == "held":
                await self._refuse_held(connection, fetch)
        if verdict == "full":
            raise Overloaded("too many symbols are waited for", retry_after=MINUTE)
        if verdict == "watched":
            raise await self._in_turn(fetch)
        if verdict == "unfair":
            raise RateLimited(f"expected at most {most} symbols without a quote within a minute", retry_after=MINUTE)
        if verdict == "unlisted":
            raise UnknownSymbol(
                f"{fetch.subject} is not in the provider's listing; a logged-in user may have it asked for all the same"
            )

    async def _refuse_held(self, connection: Connection, fetch: FetchRequest) -> None:
        """No call is made now: say so at once where the provider fails, or the hold outlasts the wait."""
        book, now = (
            await reports.select_ledger(connection, self._resources.budget.account),
            await select_now(connection),
        )
        if book["held_until"] is None or book["held_until"] <= now:
            return  # it has passed meanwhile
        left = (book["held_until"] - now).total_seconds()
        failing = book["held_for"] in GATE_REASONS
        if failing:
            await queue.update_expiry(connection, fetch.function, fetch.subject, _expiry(left))
            raise self._unavailable(fetch, left)
        if left > fetch.wait:
            raise await self._promise(
                connection, fetch, f"the first answer for {fetch.subject} must wait: calls are on hold"
            )

    async def _refuse_hopeless(
        self, fetch: FetchRequest, look: Callable[[], Awaitable[T | None]], unknown: Callable[[], Awaitable[bool]]
    ) -> None:
        """A request that is queued no more and has no answer was refused: by the subject's fault, or the provider's."""
        if await self._is_queued(fetch):
            if self._dispatcher.closed is not None:
                async with acquire(self._resources.db) as connection:
                    await self._refuse_held(connection, fetch)
            return
        if await unknown():
            raise UnknownSymbol(f"the provider does not have {fetch.subject}")
        if await look() is None:
            raise self._unavailable(fetch, RETRY)

    def _unavailable(self, fetch: FetchRequest, retry_after: float) -> ProviderUnavailable:
        return ProviderUnavailable(f"the provider does not answer for {fetch.subject} now", retry_after=retry_after)

    async def _pending(self, fetch: FetchRequest) -> QuotePending:
        """By when it will have come, nearly surely. Until a minute after that the request keeps its place."""
        async with acquire(self._resources.db) as connection:
            return await self._promise(connection, fetch, f"the first answer for {fetch.subject} is on its way")

    async def _promise(self, connection: Connection, fetch: FetchRequest, message: str) -> QuotePending:
        wait = await self._promises.make(connection, fetch.key)
        return QuotePending(message, retry_after=MINUTE if wait is None else wait)

    async def _in_turn(self, fetch: FetchRequest) -> QuotePending:
        """Of a list of which many symbols are queued already: background asks for the rest."""
        async with acquire(self._resources.db) as connection:
            wait = await self._promises.wait_in_turn(connection, fetch.key, fetch.by.name)
        message = f"the first answer for {fetch.subject} comes in its turn: many of your list are waited for already"
        return QuotePending(message, retry_after=MINUTE if wait is None else wait)

    async def close(self) -> None:
        """Refreshes that nobody waits for end; calls under way finish."""
        for task in self._aside:
            task.cancel()
        await self._dispatcher.close()


def _expiry(wait: float) -> timedelta:
    return min(MAX_QUEUE_TTL, timedelta(seconds=wait)) + queue.QUEUE_TTL


MISSES = web.AppKey("misses", Misses)
