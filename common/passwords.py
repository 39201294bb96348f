"""Passwords: the policy for new ones, and their hashes, computed off the event loop. Pre-hashed, because bcrypt reads only 72 bytes.

The label of the pre-hash is public: if it were a secret, rotating it would invalidate every password.
"""

import asyncio
import base64
import hashlib
import hmac
import os
import secrets
import sys
import threading
import time
import unicodedata
from collections import deque
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
HASH_TIMEOUT = 10.0  # seconds for one hash with its wait for a thread; a core busy with reads may never run the thread
MAX_PASSWORD_BYTES = 1024  # bytes
OBVIOUS = ("quotewell",)
MAX_HASHES = 16  # running or queued; the next one is refused
MAX_TIMES, TIMES_TTL = 16, 60.0  # how many of the last checks are remembered, and for how many seconds

T = TypeVar("T")


class Passwords:
    """A bounded pool of hashing threads; `cost` is bcrypt's, each step doubles the time."""

    def __init__(self, *, cost: int) -> None:
        self._cost = cost
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="bcrypt", initializer=_yield_to_readers)
        self._waiting = 0
        self._counting = threading.Lock()
        self._times: deque[float] = deque(maxlen=MAX_TIMES)  # seconds that the last checks took
        self._timed_at = float("-inf")
        self._nobody = bcrypt.hashpw(b"nobody", bcrypt.gensalt(cost)).decode()

    async def hash(self, password: str) -> str:
        """What to store for a password, under `SCHEME`."""
        prehashed = _prehash(password)
        return await self._run(lambda: bcrypt.hashpw(prehashed, bcrypt.gensalt(self._cost)).decode())

    async def matches(self, password: str, hashed: str | None) -> bool:
        """Whether a password matches its hash. A missing account (None) takes as long to refuse as a wrong password.

        A password that is too long is not normalized: 64 KiB of combining marks would block the event loop for a second.
        """
        if _is_too_long(password):
            password, hashed = "", None
        prehashed = _prehash(password)
        begun = time.monotonic()
        found = await self._run(lambda: bcrypt.checkpw(prehashed, (hashed or self._nobody).encode()))
        self._timed_at = time.monotonic()
        self._times.append(self._timed_at - begun)
        return found and hashed is not None

    async def pretend(self) -> None:
        """Take as long as a wrong password, without computing a hash; raise `Overloaded` where `matches` would.

        A refusal before the check must not be told from one after it. One check a minute is computed: the time follows the machine's load.
        """
        if time.monotonic() - self._timed_at > TIMES_TTL:
            await self.matches("", None)
        else:
            self._refuse_if_full()
            await asyncio.sleep(secrets.choice(self._times))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _refuse_if_full(self) -> None:
        if self._waiting >= MAX_HASHES:
            raise Overloaded("too many logins at once", retry_after=1)

    async def _run(self, work: Callable[[], T]) -> T:
        self._refuse_if_full()
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
        """Called in a thread: a hash occupies its place until it is done, even if its request has timed out."""
        with self._counting:
            self._waiting -= 1


def check_policy(password: str, settings: Settings, *, names: tuple[str, ...]) -> None:
    """Raise `InvalidRequest` for a password that is too short, too long or too common; `names` are the account's own.

    There are no rules about its characters and no expiry (NIST SP 800-63B-4).
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
    """The passwords that zxcvbn ranks most common; imported on first use because the import takes 14 MB."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    return frozenset(FREQUENCY_LISTS["passwords"])


def _yield_to_readers() -> None:
    """Lower this thread's priority, where threads have one (Linux), so that a flood of logins does not slow down reads.

    SCHED_IDLE is no alternative: on a busy core such a thread keeps the interpreter's lock while it waits to be scheduled.
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
