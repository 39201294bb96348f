"""Misses: queue a request for the provider, and wait for its answer or for the reason why there is none, in bounded time.

It serves first quotes, charts and searches. The process's dispatcher makes the calls (common/calls/dispatcher.py).
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
RETRY_DELAY = 5.0  # seconds, if nothing better is known
MAX_WAITING = 20  # waiting requests of one requester, in each process
MAX_QUEUE_TTL = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """What to fetch from the provider, for whom, and how many seconds the requester waits."""

    function: Function
    subject: str
    by: Requester
    wait: float

    @property
    def key(self) -> tuple[Function, str]:
        return self.function, self.subject

    @property
    def call_class(self) -> CallClass:
        """A requester with a valid token is a user; all others are strangers."""
        return CallClass.STRANGER if self.by.account is None else CallClass.USER


class Misses:
    """The requests of one process that clients wait for."""

    def __init__(self, resources: Resources, dispatcher: Dispatcher) -> None:
        self._resources = resources
        self._dispatcher = dispatcher
        self._refreshes: set[asyncio.Task[None]] = set()
        self._refreshing: set[tuple[str, str]] = set()
        self._promises = Promises(resources)
        self._waiting: Counter[str] = Counter()

    async def obtain(
        self, fetch: FetchRequest, *, look: Callable[[], Awaitable[T | None]], unknown: Callable[[], Awaitable[bool]]
    ) -> T:
        """What `look` finds once some process has made the call.

        Raise `UnknownSymbol` if `unknown` is true: the provider has no such subject. Raise `RateLimited`, `Overloaded`,
        `ProviderUnavailable`, or, after `fetch.wait`, `QuotePending`; the request then stays queued until the time that it promises.

        This is the single flight, and its order matters. `unknown` comes first, so that no call is spent on what is known not to
        exist. The request is queued before the first `look`, never the other way round: another process may save the answer and remove
        the row from the queue between any two steps. If that happens before `_enqueue`, `look` finds the answer at once (for a quote,
        `enqueue` also says "known" and queues nothing); if it happens after, our row or the joined one is gone and the dispatcher wakes
        us to look again. Looking before queueing would miss an answer saved in between, and pay for a second call.
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
        """Limit waiting per requester, so that one cannot occupy all connections. The others are told when to retry."""
        return fetch.wait > 0 and self._waiting[fetch.by.name] < MAX_WAITING

    async def _wait(
        self,
        fetch: FetchRequest,
        look: Callable[[], Awaitable[T | None]],
        unknown: Callable[[], Awaitable[bool]],
        until: float,
    ) -> T | None:
        """Wait with a waiter at the dispatcher: only then does this process make calls. Later, workers serve the queue."""
        with self._counted(fetch), self._dispatcher.waiting(fetch.key) as waiter:
            while (found := await look()) is None:
                await self._raise_if_failed(fetch, look, unknown)
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
        """Fetch a newer version in the background. No client waits for it; a failure is only logged."""
        if fetch.key not in self._refreshing:
            self._refreshing.add(fetch.key)
            task = asyncio.create_task(self._refresh(fetch))
            self._refreshes.add(task)
            task.add_done_callback(self._refreshes.discard)

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
                await self._raise_if_on_hold(connection, fetch)
        if verdict == "full":
            raise Overloaded("too many requests are waiting for the provider", retry_after=MINUTE)
        if verdict == "watched":
            raise await self._in_turn(fetch)
        if verdict == "unfair":
            raise RateLimited(f"expected at most {most} symbols without a quote within a minute", retry_after=MINUTE)
        if verdict == "unlisted":
            raise UnknownSymbol(
                f"{fetch.subject} is not in the provider's listing; log in to have the provider asked anyway"
            )

    async def _raise_if_on_hold(self, connection: Connection, fetch: FetchRequest) -> None:
        """Calls are on hold: raise at once if the provider fails, or if the hold lasts longer than the wait."""
        ledger = await reports.select_ledger(connection, self._resources.budget.account)
        now = await select_now(connection)
        if ledger["held_until"] is None or ledger["held_until"] <= now:
            return  # the hold has ended meanwhile
        left = (ledger["held_until"] - now).total_seconds()
        if ledger["held_for"] in GATE_REASONS:
            await queue.update_expiry(connection, fetch.function, fetch.subject, _expiry(left))
            raise self._unavailable(fetch, left)
        if left > fetch.wait:
            raise await self._promise(
                connection, fetch, f"the first answer for {fetch.subject} must wait: calls are on hold"
            )

    async def _raise_if_failed(
        self, fetch: FetchRequest, look: Callable[[], Awaitable[T | None]], unknown: Callable[[], Awaitable[bool]]
    ) -> None:
        """Raise if the request has left the queue without an answer: the subject is unknown, or the provider failed."""
        if await self._is_queued(fetch):
            if self._dispatcher.closed is not None:
                async with acquire(self._resources.db) as connection:
                    await self._raise_if_on_hold(connection, fetch)
            return
        if await unknown():
            raise UnknownSymbol(f"the provider does not have {fetch.subject}")
        if await look() is None:
            raise self._unavailable(fetch, RETRY_DELAY)

    def _unavailable(self, fetch: FetchRequest, retry_after: float) -> ProviderUnavailable:
        return ProviderUnavailable(f"the provider does not answer for {fetch.subject} now", retry_after=retry_after)

    async def _pending(self, fetch: FetchRequest) -> QuotePending:
        """The wait is over: say when to retry. The request stays queued until a minute after that."""
        async with acquire(self._resources.db) as connection:
            return await self._promise(connection, fetch, f"the first answer for {fetch.subject} is on its way")

    async def _promise(self, connection: Connection, fetch: FetchRequest, message: str) -> QuotePending:
        wait = await self._promises.make(connection, fetch.key)
        return QuotePending(message, retry_after=MINUTE if wait is None else wait)

    async def _in_turn(self, fetch: FetchRequest) -> QuotePending:
        """Many symbols of the requester's list are queued already: background fetches the rest, in order."""
        async with acquire(self._resources.db) as connection:
            wait = await self._promises.wait_in_turn(connection, fetch.key, fetch.by.name)
        message = (
            f"the first answer for {fetch.subject} comes in its turn: many symbols of your list are queued already"
        )
        return QuotePending(message, retry_after=MINUTE if wait is None else wait)

    async def close(self) -> None:
        """Cancel background refreshes, and let calls in progress finish."""
        for task in self._refreshes:
            task.cancel()
        await self._dispatcher.close()


def _expiry(wait: float) -> timedelta:
    return min(MAX_QUEUE_TTL, timedelta(seconds=wait)) + queue.QUEUE_TTL


MISSES = web.AppKey("misses", Misses)
