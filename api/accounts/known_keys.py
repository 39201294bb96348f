"""API keys as one process knows them: a key is looked up once an hour, not at each request, and is forgotten once it has ended.

`Revocations` polls which keys have ended, as it does for logins. While its last poll is too old, each request looks its key up.
"""

import asyncio
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from re import compile as pattern
from secrets import token_hex

from aiohttp import web

from api.accounts.revocations import Revocations
from api.http.keys import Caller
from common.core.secrets import digest
from common.errors import InvalidToken, StoreUnavailable
from common.process.resources import Resources
from common.store.accounts.keys import select_key, update_used
from common.store.accounts.users import update_seen
from common.store.connection.pool import acquire

SCOPE = "read"
MAX_KNOWN = 10_000  # keys; the least recently used are forgotten
LOOKUP_INTERVAL = 3600.0  # seconds; shorter than ended keys are remembered
FLUSH_INTERVAL = 10.0  # seconds between two writes of which keys were used
KEY = pattern("qw_[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Known:
    """An open key; `looked_up` on the monotonic clock."""

    caller: Caller
    looked_up: float


class KnownKeys:
    """The keys that were used lately."""

    def __init__(self, resources: Resources, revocations: Revocations) -> None:
        self._resources, self._revocations = resources, revocations
        self._known: OrderedDict[bytes, Known] = OrderedDict()
        self._used: set[int] = set()

    def find(self, key: str) -> Caller | None:
        """The caller of a key that is known to be open, without a question to the database."""
        hashed = digest(key)
        known = self._known.get(hashed)
        if known is None or not self._revocations.is_current or time.monotonic() - known.looked_up > LOOKUP_INTERVAL:
            return None
        if self._revocations.have_ended({known.caller.login}):
            del self._known[hashed]
            return None
        self._known.move_to_end(hashed)
        self._used.add(known.caller.login)
        return known.caller

    async def look_up(self, key: str) -> Caller:
        """The caller of an open key; raise `InvalidToken`, or `StoreUnavailable` if that cannot be known now."""
        hashed = digest(key)
        async with acquire(self._resources.db) as connection:
            found = await select_key(connection, hashed)
        if found is None:
            self._known.pop(hashed, None)
            raise InvalidToken("the API key has ended, has expired or is unknown")
        caller = Caller(found[1], SCOPE, login=found[0], is_key=True)
        self._known[hashed] = Known(caller, time.monotonic())
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        self._used.add(caller.login)
        return caller

    async def keep(self) -> None:
        """Record which keys were used, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_INTERVAL)
            await self.flush()

    async def flush(self) -> None:
        """Record which keys were used since the last time, and that their users are active."""
        used, self._used = self._used, set()
        if not used:
            return
        with suppress(StoreUnavailable):
            async with acquire(self._resources.db) as connection:
                for user in await update_used(connection, used):
                    await update_seen(connection, user)


def new_key() -> str:
    """A key of 256 random bits. Its prefix lets scanners for leaked secrets recognise it."""
    return f"qw_{token_hex(32)}"


def key_of(request: web.Request) -> str | None:
    """The API key in the only Authorization header, or None. The scheme's case does not matter."""
    headers = request.headers.getall("Authorization", [])
    if len(headers) != 1:
        return None
    scheme, _, key = headers[0].strip().partition(" ")
    key = key.strip()
    return key if scheme.lower() == "bearer" and KEY.fullmatch(key) else None


KNOWN_KEYS = web.AppKey("known_keys", KnownKeys)
