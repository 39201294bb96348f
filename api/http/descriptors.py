"""File descriptors: as many as the system allows this process, and a line in the log when there is none for a new connection."""

import asyncio
import errno
import os
import resource
import time
from contextlib import suppress
from typing import Any

import structlog

MAX_CONNECTIONS = 20_000  # of one process, however many descriptors there are
RESERVED = 128  # descriptors for all else: stores, the provider, the log, files of metrics
MACOS_LIMIT = 10_240  # what macOS gives a process whose hard limit is unlimited
CHECK_INTERVAL = 1.0  # seconds
LOG_INTERVAL = 60.0  # seconds between two lines of one event
SPENT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

log = structlog.get_logger(__name__)
_logged_at: dict[str, float] = {}


def raise_limit() -> None:
    """Raise this process's soft limit of descriptors to the hard one. The usual soft limit, 1,024, is taken up by as many streams."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (hard, MACOS_LIMIT) if soft != hard else ():
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            return


def count_places() -> int:
    """How many connections this process may hold, so that descriptors are left for all else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, soft - min(RESERVED, soft // 2))


def is_due(event: str) -> bool:
    """Whether to log an event that may occur a thousand times a second: once a minute."""
    now = time.monotonic()
    if now - _logged_at.get(event, -LOG_INTERVAL) < LOG_INTERVAL:
        return False
    _logged_at[event] = now
    return True


async def watch() -> None:
    """Log that no descriptor is left; run until cancelled. uvloop closes what it cannot accept, and tells nobody."""
    while True:
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as error:
            _note(error)
        await asyncio.sleep(CHECK_INTERVAL)


def handle_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log that a connection could not be accepted; asyncio would log a traceback for each. All else goes to the loop's own handler."""
    error = context.get("exception")
    if isinstance(error, OSError) and error.errno in SPENT and "accept" in context["message"]:
        _note(error)
    else:
        loop.default_exception_handler(context)


def _note(error: OSError) -> None:
    if is_due("accept_failed"):
        log.error("accept_failed", reason=errno.errorcode.get(error.errno or 0, ""), places=count_places())
