"""Keep a process from forking while another of its threads works.

A child inherits locks that another thread holds at the fork, such as the C library's resolver lock, and nobody ever releases them: it
deadlocks (seen: one gunicorn worker in eight; also https://github.com/prometheus/client_python/issues/431). So a fork waits for such work.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

LOCK_TIMEOUT = 5.0  # seconds; then fork anyway, because work may hang, for example on a name server

_no_fork_lock = threading.Lock()
_locked = False


@contextmanager
def no_fork() -> Iterator[None]:
    """Forks wait until this block ends."""
    with _no_fork_lock:
        yield


def _lock() -> None:
    global _locked  # noqa: PLW0603  there is one process
    _locked = _no_fork_lock.acquire(timeout=LOCK_TIMEOUT)


def _unlock() -> None:
    if _locked:
        _no_fork_lock.release()


os.register_at_fork(before=_lock, after_in_parent=_unlock, after_in_child=_unlock)
