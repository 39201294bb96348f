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
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import bcrypt

from common.errors import InvalidRequest, Overloaded
from common.settings import Settings

SCHEME = "hmac-sha384+bcrypt"
LABEL = b"quotewell password v1"
THREADS = 2
NICE = 15
LONGEST = 1024  # bytes
OBVIOUS = ("quotewell",)
WAITING = 16  # hashes under way or queued; the next one is refused

T = TypeVar("T")


class Passwords:
    """A bounded pool of hashing threads; `cost` is bcrypt's, each step doubles the time."""

    def __init__(self, *, cost: int) -> None:
        self._cost = cost
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="bcrypt", initializer=_yield_to_readers)
        self._waiting = 0
        self._nobody = bcrypt.hashpw(b"nobody", bcrypt.gensalt(cost)).decode()

    async def hash(self, password: str) -> str:
        """What to store for a password, under `SCHEME`."""
        return await self._run(lambda: bcrypt.hashpw(_prehash(password), bcrypt.gensalt(self._cost)).decode())

    async def matches(self, password: str, hashed: str | None) -> bool:
        """Whether a password is the one that was hashed; no account at all takes as long to refuse."""
        found = await self._run(lambda: bcrypt.checkpw(_prehash(password), (hashed or self._nobody).encode()))
        return found and hashed is not None

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING:
            raise Overloaded("too many logins at once", retry_after=1)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1


def check_policy(password: str, settings: Settings, *, names: tuple[str, ...]) -> None:
    """Refuse a new password that is too short, too long, or one that everybody tries first; `names` are the account's own.

    No rules on which characters it has, and no expiry (NIST SP 800-63B-4).
    """
    shortest = settings.min_password_length
    if len(password) < shortest or len(password.encode(errors="surrogatepass")) > LONGEST or not password.strip():
        raise InvalidRequest(
            f"password: expected at least {shortest} characters and at most {LONGEST} bytes, not all blank"
        )
    if settings.refuses_common_passwords and password.casefold() in _common().union(OBVIOUS, map(str.casefold, names)):
        raise InvalidRequest("password: expected one that is not among the most common ones, and not your own name")


@cache
def _common() -> frozenset[str]:
    """The passwords that zxcvbn ranks most common; loaded once it is needed, for it takes 14 MB on its way."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    return frozenset(FREQUENCY_LISTS["passwords"])


def _yield_to_readers() -> None:
    """Lower this thread's priority, where threads have one (Linux): a flood of logins must not slow the reads beside it."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def _prehash(password: str) -> bytes:
    digest = hmac.new(LABEL, unicodedata.normalize("NFKC", password).encode(), hashlib.sha384).digest()
    return base64.b64encode(digest)
