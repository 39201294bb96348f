"""Threads in a process that forks. A child inherits what another thread has locked at that moment, the C library's resolver above all,
and waits for it for ever (seen: one gunicorn worker of eight). So a fork waits until such work is done.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

LOCK_TIMEOUT = 5.0  # seconds; work that hangs, as on a name server that is away, must not stop the forks

_at_work = threading.Lock()
_locked = False


@contextmanager
def unforked() -> Iterator[None]:
    """No fork begins meanwhile."""
    with _at_work:
        yield


def _hold() -> None:
    global _locked  # noqa: PLW0603  there is one process
    _locked = _at_work.acquire(timeout=LOCK_TIMEOUT)


def _let_go() -> None:
    if _locked:
        _at_work.release()


os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_let_go)
