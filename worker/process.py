"""One event loop and one set of resources per worker process, created after the fork and closed with the process.

Resources open with the first job, not in Celery's handler: that has four seconds, and Celery ignores its errors.
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
    """The state of a worker process. It stops when the parent sets `stop`, an event that they share, or when it receives SIGTERM.

    Platforms signal the whole process group, so SIGTERM reaches children too; they must finish their job.
    """

    settings: Settings
    stop: Any = None
    terminated: bool = False
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    resources: Resources | None = None

    def run(self, job: Callable[..., Awaitable[None]]) -> None:
        """Run a job to its end on the process's loop. Billiard ends a child on SIGTERM; during a job only a flag is set."""
        self.terminated = False  # a SIGTERM during an earlier job does not end this one
        before = signal.signal(signal.SIGTERM, self._on_term)
        try:
            self.runner.run(self._run(job), context=copy_context())  # otherwise the log's ids stay those of the fork
        finally:
            signal.signal(signal.SIGTERM, before)

    async def _run(self, job: Callable[..., Awaitable[None]]) -> None:
        if self.resources is None:
            self.resources = await self.stack.enter_async_context(
                open_resources(self.settings, name="worker", statement_timeout=5)
            )
        await job(self.resources, stopping=self.is_stopping)

    def is_stopping(self) -> bool:
        return self.terminated or (self.stop is not None and bool(self.stop.is_set()))

    def _on_term(self, _signal: int, _frame: FrameType | None) -> None:
        self.terminated = True

    def close(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()


def spare_memory() -> None:
    """Keep the heap from fragmenting, and shared with the processes to be forked.

    glibc raises its mmap threshold and then serves asyncio's buffers from the heap, where they leave holes (8 MiB an hour): so fix the
    threshold. The garbage collector would write to every inherited object and so copy its page: so freeze them.
    """
    with suppress(AttributeError):  # not glibc
        ctypes.CDLL(None).mallopt(MMAP_THRESHOLD, LARGE)
    gc.collect()
    gc.freeze()


def attach(process: Process) -> None:
    """Connect the process's life to Celery's signals."""

    def before_fork(sender: Any, **_: Any) -> None:
        spare_memory()
        # Gossip leaks a connection at each loss of the broker, and nothing here uses messages between workers.
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
