"""One event loop and one set of resources per worker process, made after the fork and closed with the process.

The handler that opens them touches no network: Celery gives it four seconds and swallows what it raises.
"""

import asyncio
import ctypes
import gc
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from billiard import Event
from celery.signals import worker_init, worker_process_init, worker_process_shutdown, worker_shutting_down

from common.process.resources import Resources, open_resources
from common.process.settings import Settings

MMAP_THRESHOLD = -3  # of mallopt(3)
LARGE = 128 * 1024  # bytes; asyncio reads into twice as much


@dataclass(slots=True)
class Process:
    """What a worker process holds. It stops when the parent says so (`stop`, shared with it) or when it hears SIGTERM itself.

    A signal to the whole process group, as platforms send it, reaches the children too: they must finish what they do.
    """

    settings: Settings
    stop: Any = None
    heard: bool = False
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    resources: Resources | None = None

    def run(self, job: Callable[..., Awaitable[None]]) -> None:
        """Run a job to its end on the process's loop. Billiard ends a child on SIGTERM; within a job we only note it."""
        self.heard = False  # that a job was told to end says nothing about the next
        before = signal.signal(signal.SIGTERM, self._hear)
        try:
            self.runner.run(self._run(job), context=copy_context())  # else log ids stay as at the fork
        finally:
            signal.signal(signal.SIGTERM, before)

    async def _run(self, job: Callable[..., Awaitable[None]]) -> None:
        if self.resources is None:
            self.resources = await self.stack.enter_async_context(
                open_resources(self.settings, name="worker", statement_timeout=5)
            )
        await job(self.resources, stopping=self.is_stopping)

    def is_stopping(self) -> bool:
        return self.heard or (self.stop is not None and bool(self.stop.is_set()))

    def _hear(self, _signal: int, _frame: FrameType | None) -> None:
        self.heard = True

    def close(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()


def spare_memory() -> None:
    """Keep the heap whole and, for the processes to be forked, shared. glibc would come to serve asyncio's buffers from its heap, where
    what they leave makes holes that the next does not fit (8 MiB an hour); the collector would write to all that was there before."""
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(MMAP_THRESHOLD, LARGE)
    gc.collect()
    gc.freeze()


def attach(process: Process) -> None:
    """Tie the process's life to Celery's signals."""

    def before_fork(sender: Any, **_: Any) -> None:
        spare_memory()
        # Gossip leaves connections open at each loss of the broker; nothing here asks what workers tell each other.
        sender.options.update(without_gossip=True, without_mingle=True)
        process.stop = Event()

    def after_fork(**_: Any) -> None:
        process.runner = asyncio.Runner()

    def shutting_down(**_: Any) -> None:
        if process.stop is not None:
            process.stop.set()

    def at_exit(**_: Any) -> None:
        process.close()

    worker_init.connect(before_fork, weak=False)
    worker_process_init.connect(after_fork, weak=False)
    worker_shutting_down.connect(shutting_down, weak=False)
    worker_process_shutdown.connect(at_exit, weak=False)
