"""One loop a process that asks the ledger for calls while somebody waits, makes them, and wakes who waits.

It sleeps for as long as the ledger said, and wakes for new demand. Whoever is granted a call makes it, whoever's demand it serves; a call
outlives the request that it is for, or a client that goes away would lose what was paid for.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from common.calls import permits, work
from common.core.budget.holds import GATE_REASONS
from common.core.models import Function
from common.core.provider.outcomes import Outcome
from common.errors import StoreUnavailable
from common.process.resources import Resources
from common.provider import Permit
from common.store.budget.ledger import Wait
from common.store.budget.queue import select_queued
from common.store.connection.pool import acquire

Key = tuple[Function, str]
SERVED_POLL_INTERVAL = 0.5  # seconds between two looks whether another process has served what is waited for
MAX_SLEEP = 5.0  # seconds between two questions to the ledger: an operator may end a hold
CLOSE_TIMEOUT = 12.0  # seconds that calls under way have to finish


@dataclass(eq=False, slots=True)
class Waiter:
    """Somebody who waits for a subject. `news` is set when a look may find something."""

    key: Key
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self, seconds: float) -> None:
        """Return when there is news, or when the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self.news.wait()
        self.news.clear()


class Dispatcher:
    """The calls of one process that serve somebody who waits. `closed`: the gate, as the ledger last said; None: it is open."""

    def __init__(self, resources: Resources) -> None:
        self.closed: Wait | None = None
        self._resources = resources
        self._waiters: set[Waiter] = set()
        self._demand = asyncio.Event()
        self._calls: set[asyncio.Task[None]] = set()

    @contextmanager
    def waiting(self, key: Key) -> Iterator[Waiter]:
        """Wait for a subject that is queued already."""
        waiter = Waiter(key)
        self._waiters.add(waiter)
        self._demand.set()
        try:
            yield waiter
        finally:
            self._waiters.discard(waiter)

    def tell(self, key: Key) -> None:
        """Something has come, or is over, for a subject."""
        for waiter in self._waiters:
            if waiter.key == key:
                waiter.news.set()

    async def run(self) -> None:
        """Run until cancelled. Without the database nobody can be served: each is told so by its own look."""
        while True:
            await self._demand.wait()
            self._demand.clear()
            while self._waiters:
                try:
                    answer = await permits.obtain_permit(self._resources)
                    if isinstance(answer, Permit):
                        self._make(answer)
                    else:
                        await self._sleep(answer)
                except StoreUnavailable:
                    self._tell_all()
                    await asyncio.sleep(SERVED_POLL_INTERVAL)

    def _make(self, permit: Permit) -> None:
        self.closed = None
        call = asyncio.create_task(self._carry_out(permit))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def _carry_out(self, permit: Permit) -> None:
        outcome = await work.carry_out(self._resources, permit)
        if outcome is not Outcome.OK:
            self._demand.set()  # it may be tried again sooner than was said
        for subject in permit.grant.subjects:
            self.tell((permit.grant.function, subject))
            self.tell((Function.QUOTE, subject))

    async def _sleep(self, answer: Wait) -> None:
        """Until the time that the ledger said, or new demand. Meanwhile others may serve, or refuse, what is waited for."""
        self.closed = answer if answer.reason in GATE_REASONS else None
        if self.closed:
            self._tell_all()
        seconds = MAX_SLEEP if answer.wait is None else answer.wait.total_seconds()
        until = time.monotonic() + min(seconds, MAX_SLEEP)
        while self._waiters and not self._demand.is_set() and (left := until - time.monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(SERVED_POLL_INTERVAL, left)):
                    await self._demand.wait()
            await self._tell_served()
        self._demand.clear()

    async def _tell_served(self) -> None:
        keys = {waiter.key for waiter in self._waiters}
        if keys:
            async with acquire(self._resources.db) as connection:
                queued = await select_queued(connection, keys)
            for key in keys - queued:
                self.tell(key)

    def _tell_all(self) -> None:
        for waiter in self._waiters:
            waiter.news.set()

    async def close(self) -> None:
        """Let calls under way finish."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=CLOSE_TIMEOUT)
