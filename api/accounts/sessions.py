"""A user's own open logins over HTTP: list them, end one."""

import re

from aiohttp import web
from msgspec import Struct

from api.accounts.credentials import note
from api.accounts.logins import MessageAnswer
from api.http import requests
from api.http.answers import NO_STORE
from api.http.contract import documented
from api.http.keys import CALLER, RESOURCES
from common.errors import NotFound, StoreUnavailable
from common.operations.types import MAX_ID, Time
from common.store.accounts.logins import end_login, select_sessions
from common.store.accounts.users import lock_user
from common.store.connection.pool import acquire, transaction

MAX_SESSIONS = 500

routes = web.RouteTableDef()


class SessionRow(Struct, frozen=True):
    """An open login. `seen_at`: when it last got tokens, from `address` (of IPv6 the network), by `user_agent`; null: not known.
    `current`: it is the login of this request's token."""

    id: int
    created_at: Time
    seen_at: Time
    address: str | None
    user_agent: str | None
    current: bool


class SessionsAnswer(Struct, frozen=True):
    """The last seen first, 500 at most."""

    sessions: list[SessionRow]


@routes.get("/api/auth/sessions")
@documented(
    "The caller's open logins", query=requests.NoQuery, answers={200: SessionsAnswer}, errors=(StoreUnavailable,)
)
async def sessions(request: web.Request) -> web.Response:
    """Where the account is logged in, and since when."""
    requests.query(request, requests.NoQuery)
    resources, caller = request.app[RESOURCES], request[CALLER]
    async with acquire(resources.db) as connection:
        found = await select_sessions(connection, caller.id, lasts=resources.settings.login_ttl, most=MAX_SESSIONS)
    rows = [
        {
            "id": each.id,
            "created_at": each.opened_at.isoformat(),
            "seen_at": each.seen_at.isoformat(),
            "address": each.address,
            "user_agent": each.user_agent,
            "current": each.id == caller.login,
        }
        for each in found
    ]
    return web.json_response({"sessions": rows}, headers=NO_STORE)


@routes.delete("/api/auth/sessions/{session}")
@documented("End one of the caller's logins", answers={200: MessageAnswer}, errors=(StoreUnavailable,))
async def end_session(request: web.Request) -> web.Response:
    """Its tokens and streams end on every process within a second, as after its own logout."""
    caller, session = request[CALLER], request.match_info["session"]
    async with transaction(request.app[RESOURCES].db) as connection:
        await lock_user(connection, caller.id)
        if not _is_id(session) or not await end_login(connection, int(session), of=caller.id):
            raise NotFound("the account has no open login with this id; `GET /api/auth/sessions` lists them")
        await note(connection, request, "session_ended", caller.id)
    return web.json_response({"message": "the login has ended"}, headers=NO_STORE)


def _is_id(text: str) -> bool:
    return re.fullmatch("[0-9]{1,19}", text) is not None and int(text) <= MAX_ID
