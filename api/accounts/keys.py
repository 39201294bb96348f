"""API keys over HTTP: make one, list them, end one. A key reads quotes for its account, and nothing else."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from api.accounts.credentials import note
from api.accounts.known_keys import KNOWN_KEYS, SCOPE, new_key
from api.accounts.logins import MessageAnswer
from api.http import requests
from api.http.answers import NO_STORE
from api.http.contract import documented
from api.http.keys import CALLER, RESOURCES
from common.core.secrets import digest
from common.errors import KeysFull, NotFound, StoreUnavailable
from common.operations.types import Time
from common.store.accounts.keys import Key, end_key, insert_key, select_keys
from common.store.connection.pool import acquire, transaction

MAX_KEYS = 20  # open ones of an account
PREFIX_LENGTH = 9  # characters of a key that the list shows; the other 58 stay secret
LAST_EXPIRY = datetime(9000, 1, 1, tzinfo=UTC)  # later ones may not exist in UTC

routes = web.RouteTableDef()


class NewKey(Struct, frozen=True, forbid_unknown_fields=True):
    """What the key is for, and when it ends: never, unless `expires` says so."""

    name: Annotated[requests.Text, Meta(title="a name of 1 to 100 characters, not all blank", max_length=100)]
    expires: Annotated[datetime, Meta(title="a time to come, such as 2027-01-31T00:00:00Z", tz=True)] | UnsetType = (
        UNSET
    )

    def __post_init__(self) -> None:
        if self.expires is not UNSET and not datetime.now(UTC) < self.expires < LAST_EXPIRY:
            raise ValueError("expires: expected a time to come, such as 2027-01-31T00:00:00Z")


class KeyRow(Struct, frozen=True):
    """A key that is open. `used_at` is right to a minute; null: never."""

    id: int
    name: str
    prefix: str
    scope: str
    created_at: Time
    expires_at: Time | None
    used_at: Time | None


class KeyAnswer(KeyRow, frozen=True):
    """A new key. `key` is shown this once."""

    key: str


class KeysAnswer(Struct, frozen=True):
    """The caller's open keys, oldest first."""

    keys: list[KeyRow]


@routes.post("/api/auth/keys")
@documented("Make an API key", body=NewKey, answers={201: KeyAnswer}, errors=(KeysFull, StoreUnavailable))
async def create_key(request: web.Request) -> web.Response:
    """For programs that read quotes: `Authorization: Bearer qw_...`. It may read what is public, and the watchlist. An account has at
    most 20; a new password, a lock and the account's deletion end them."""
    content, caller = await requests.read(request, NewKey), request[CALLER]
    key = new_key()
    async with transaction(request.app[RESOURCES].db) as connection:
        made = await insert_key(
            connection,
            caller.id,
            caller.login,
            content.name.strip(),
            digest(key),
            prefix=key[:PREFIX_LENGTH],
            expires_at=None if content.expires is UNSET else content.expires,
            most=MAX_KEYS,
        )
        await note(connection, request, "key_created", caller.id, subject=f"key:{made.id}")
    return web.json_response({**_shape(made), "key": key}, status=201, headers=NO_STORE)


@routes.get("/api/auth/keys")
@documented("The caller's API keys", answers={200: KeysAnswer}, errors=(StoreUnavailable,))
async def show_keys(request: web.Request) -> web.Response:
    """Without the keys themselves. `prefix` is how each begins."""
    await request.app[KNOWN_KEYS].flush()
    async with acquire(request.app[RESOURCES].db) as connection:
        keys = await select_keys(connection, request[CALLER].id)
    return web.json_response({"keys": [_shape(key) for key in keys]}, headers=NO_STORE)


@routes.delete("/api/auth/keys/{key}")
@documented("End an API key", answers={200: MessageAnswer}, errors=(NotFound, StoreUnavailable))
async def delete_key(request: web.Request) -> web.Response:
    """It stops working on every process within a second."""
    text, caller = request.match_info["key"], request[CALLER]
    key = int(text) if re.fullmatch("[0-9]{1,18}", text) else 0
    async with transaction(request.app[RESOURCES].db) as connection:
        if not await end_key(connection, caller.id, key):
            raise NotFound(f"the account has no API key {text[:20]!r}; GET /api/auth/keys lists them")
        await note(connection, request, "key_ended", caller.id, subject=f"key:{key}")
    return web.json_response({"message": "the API key has ended"}, headers=NO_STORE)


def _shape(key: Key) -> dict[str, Any]:
    """The body of a `KeyRow`."""
    times = {name: getattr(key, name) for name in ("created_at", "expires_at", "used_at")}
    shown = {name: at.isoformat() if at else None for name, at in times.items()}
    return {"id": key.id, "name": key.name, "prefix": key.prefix, "scope": SCOPE, **shown}
