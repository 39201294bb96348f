"""Passwords: which may be chosen, and their hashes, made off the event loop. A password is pre-hashed, so that no length is refused or cut.

The label of the pre-hash is public: a secret in it would make every password worthless when it is rotated.
"""

import asyncio
import base64
import hashlib
import hmac
import os
import sys
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

import bcrypt

from common.errors import InvalidRequest, Overloaded
from common.process.settings import Settings

SCHEME = "hmac-sha384+bcrypt"
LABEL = b"quotewell password v1"
THREADS = 2
NICE = 10
HASH_TIMEOUT = 10.0  # seconds for one hash, its turn included: on a core that reads saturate it may not come
MAX_PASSWORD_BYTES = 1024  # bytes
OBVIOUS = ("quotewell",)
WAITING = 16  # hashes under way or queued; the next one is refused

T = TypeVar("T")


class Passwords:
    """A bounded pool of hashing threads; `cost` is bcrypt's, each step doubles the time."""

    def __init__(self, *, cost: int) -> None:
        self._cost = cost
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="bcrypt", initializer=_yield_to_readers)
        self._waiting = 0
        self._counting = threading.Lock()
        self._nobody = bcrypt.hashpw(b"nobody", bcrypt.gensalt(cost)).decode()

    async def hash(self, password: str) -> str:
        """What to store for a password, under `SCHEME`."""
        prehashed = _prehash(password)
        return await self._run(lambda: bcrypt.hashpw(prehashed, bcrypt.gensalt(self._cost)).decode())

    async def matches(self, password: str, hashed: str | None) -> bool:
        """Whether a password is the one that was hashed; no account at all takes as long to refuse, and so does what is too long to be
        one: to normalize 64 KiB of combining marks takes a second, in which nothing else runs."""
        if _is_too_long(password):
            password, hashed = "", None
        prehashed = _prehash(password)
        found = await self._run(lambda: bcrypt.checkpw(prehashed, (hashed or self._nobody).encode()))
        return found and hashed is not None

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING:
            raise Overloaded("too many logins at once", retry_after=1)
        with self._counting:
            self._waiting += 1
        hashing = self._threads.submit(work)
        hashing.add_done_callback(self._done)
        try:
            async with asyncio.timeout(HASH_TIMEOUT):
                return await asyncio.wrap_future(hashing)
        except TimeoutError:
            raise Overloaded("no time for a login", retry_after=5) from None

    def _done(self, _: "Future[Any]") -> None:
        """Called in a thread: a place is free once its hash is done, whether or not somebody still waits for it."""
        with self._counting:
            self._waiting -= 1


def check_policy(password: str, settings: Settings, *, names: tuple[str, ...]) -> None:
    """Refuse a new password that is too short, too long, or one that everybody tries first; `names` are the account's own.

    No rules on which characters it has, and no expiry (NIST SP 800-63B-4).
    """
    shortest = settings.min_password_length
    if len(password) < shortest or _is_too_long(password) or not password.strip():
        raise InvalidRequest(
            f"password: expected at least {shortest} characters and at most {MAX_PASSWORD_BYTES} bytes, not all blank"
        )
    plain = _normalize(password).casefold()
    if settings.refuses_common_passwords and (plain in _common() or plain in {*OBVIOUS, *map(str.casefold, names)}):
        raise InvalidRequest("password: expected one that is not among the most common ones, and not your own name")


@cache
def _common() -> frozenset[str]:
    """The passwords that zxcvbn ranks most common; loaded once it is needed, for it takes 14 MB on its way."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    return frozenset(FREQUENCY_LISTS["passwords"])


def _yield_to_readers() -> None:
    """Lower this thread's priority, where threads have one (Linux): a flood of logins must not slow the reads beside it.

    Not SCHED_IDLE: on a core that others want too, such a thread keeps the interpreter's lock for as long as it waits for its turn.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def _is_too_long(password: str) -> bool:
    return len(password) > MAX_PASSWORD_BYTES or len(password.encode(errors="surrogatepass")) > MAX_PASSWORD_BYTES


def _normalize(password: str) -> str:
    return unicodedata.normalize("NFKC", password)


def _prehash(password: str) -> bytes:
    digest = hmac.new(LABEL, _normalize(password).encode(), hashlib.sha384).digest()
    return base64.b64encode(digest)
