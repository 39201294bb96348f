"""One loop per process that obtains permits while requests wait, makes the calls, and wakes the waiting requests.

It sleeps as long as the ledger said, or until a new request waits. The ledger grants the first call in the queue, so a process may serve
another process's request. A call runs as its own task: if the client disconnects, the answer is still saved.
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
SERVED_POLL_INTERVAL = 0.5  # seconds between two checks whether other processes served our waiters
MAX_SLEEP = 5.0  # seconds; an operator may end a hold at any time
CLOSE_TIMEOUT = 12.0  # seconds for calls under way to finish


@dataclass(eq=False, slots=True)
class Waiter:
    """A request that waits for a subject. `changed` is set when looking again may find an answer."""

    key: Key
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self, seconds: float) -> None:
        """Return after a change or after `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self.changed.wait()
        self.changed.clear()


class Dispatcher:
    """Makes calls while requests of this process wait. `closed`: the ledger's last answer if the gate is closed, else None."""

    def __init__(self, resources: Resources) -> None:
        self.closed: Wait | None = None
        self._resources = resources
        self._waiters: set[Waiter] = set()
        self._demand = asyncio.Event()
        self._calls: set[asyncio.Task[None]] = set()

    @contextmanager
    def waiting(self, key: Key) -> Iterator[Waiter]:
        """Register as waiting for a subject. Enqueue it first."""
        waiter = Waiter(key)
        self._waiters.add(waiter)
        self._demand.set()
        try:
            yield waiter
        finally:
            self._waiters.discard(waiter)

    def notify(self, key: Key) -> None:
        """Wake the waiters of a subject: its answer arrived, or its request ended."""
        for waiter in self._waiters:
            if waiter.key == key:
                waiter.changed.set()

    async def run(self) -> None:
        """Run until cancelled. Without the database no request can be served: waiters wake, look, and fail with that error."""
        while True:
            if not self._waiters:  # there are some if a failure restarted this loop
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
                    self._notify_all()
                    await asyncio.sleep(SERVED_POLL_INTERVAL)

    def _make(self, permit: Permit) -> None:
        self.closed = None
        call = asyncio.create_task(self._carry_out(permit))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def _carry_out(self, permit: Permit) -> None:
        outcome = await work.carry_out(self._resources, permit)
        if outcome is not Outcome.OK:
            self._demand.set()  # the request may be retried sooner than the ledger said
        for subject in permit.grant.subjects:
            self.notify((permit.grant.function, subject))
            self.notify((Function.QUOTE, subject))

    async def _sleep(self, answer: Wait) -> None:
        """Sleep as long as the ledger said, or until a new request waits. Meanwhile another process may serve or refuse our waiters."""
        self.closed = answer if answer.reason in GATE_REASONS else None
        if self.closed:
            self._notify_all()
        seconds = MAX_SLEEP if answer.wait is None else answer.wait.total_seconds()
        until = time.monotonic() + min(seconds, MAX_SLEEP)
        while self._waiters and not self._demand.is_set() and (left := until - time.monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(SERVED_POLL_INTERVAL, left)):
                    await self._demand.wait()
            await self._notify_served()
        self._demand.clear()

    async def _notify_served(self) -> None:
        keys = {waiter.key for waiter in self._waiters}
        if keys:
            async with acquire(self._resources.db) as connection:
                queued = await select_queued(connection, keys)
            for key in keys - queued:
                self.notify(key)

    def _notify_all(self) -> None:
        for waiter in self._waiters:
            waiter.changed.set()

    async def close(self) -> None:
        """Wait for calls under way, up to `CLOSE_TIMEOUT`."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=CLOSE_TIMEOUT)
