"""One event loop and one set of resources per worker process, created after the fork and closed with the process.

Resources open with the first job, not in Celery's handler: that has four seconds, and Celery ignores its errors.

Platforms signal the whole process group, so SIGTERM reaches children too. Billiard's handler would end a child at once, also one that has
just accepted a job or has not yet reported its end; the parent then logs the job as lost. So SIGTERM is blocked in children, and a thread
waits for it.
"""

import asyncio
import ctypes
import gc
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

from billiard import Event
from celery.signals import worker_init, worker_process_init, worker_process_shutdown, worker_shutting_down

from common.process.resources import Resources, open_resources
from common.process.settings import Settings

MMAP_THRESHOLD = -3  # of mallopt(3)
LARGE = 128 * 1024  # bytes; asyncio reads into twice as much
IDLE_LIMIT = 2.0  # seconds in which the parent, if it was signalled too, ends an idle child


@dataclass(slots=True)
class Process:
    """The state of a worker process. It stops when the parent sets `stop`, an event that they share, or when it receives SIGTERM."""

    settings: Settings
    stop: Any = None
    terminated: bool = False
    busy: bool = False
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    resources: Resources | None = None

    def start(self) -> None:
        """Prepare a child that was just forked."""
        self.runner = asyncio.Runner()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=self._await_term, name="sigterm", daemon=True).start()

    def run(self, job: Callable[..., Awaitable[None]]) -> None:
        """Run a job to its end on the process's loop."""
        self.busy = True
        try:
            self.runner.run(self._run(job), context=copy_context())  # otherwise the log's ids stay those of the fork
        finally:
            self.busy = False

    async def _run(self, job: Callable[..., Awaitable[None]]) -> None:
        if self.resources is None:
            self.resources = await self.stack.enter_async_context(
                open_resources(self.settings, name="worker", statement_timeout=5)
            )
        await job(self.resources, stopping=self.is_stopping)

    def is_stopping(self) -> bool:
        return self.terminated or (self.stop is not None and bool(self.stop.is_set()))

    def _await_term(self) -> None:
        """On SIGTERM let the job end. A child that the parent does not end either, because it alone was signalled, ends itself."""
        main = threading.main_thread().ident or 0
        signal.sigwait({signal.SIGTERM})
        self.terminated = True
        self._await_idle()  # the job under way; those that follow do not put the end off
        time.sleep(IDLE_LIMIT)
        self._await_idle()
        signal.pthread_kill(main, signal.SIGHUP)  # billiard exits on it as on SIGTERM, and closes what is open

    def _await_idle(self) -> None:
        while self.busy:
            time.sleep(IDLE_LIMIT / 20)

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
        process.start()

    def shutting_down(**_: Any) -> None:
        if process.stop is not None:
            process.stop.set()

    def at_exit(**_: Any) -> None:
        process.close()

    worker_init.connect(before_fork, weak=False)
    worker_process_init.connect(after_fork, weak=False)
    worker_shutting_down.connect(shutting_down, weak=False)
    worker_process_shutdown.connect(at_exit, weak=False)
