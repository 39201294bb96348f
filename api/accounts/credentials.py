"""What somebody gets who has proved who they are: an access token, a refresh token, their account. It checks nothing."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

import structlog
from aiohttp import web
from msgspec import Struct

from api.accounts.tokens import TOKENS, digest, new_secret
from api.http.clients import address_of
from api.http.contract import Time
from api.http.keys import REQUEST_ID
from common.errors import InvalidCredentials
from common.passwords import Passwords
from common.store.accounts.audit import Act, insert_act
from common.store.accounts.logins import Login, insert_login, insert_refresh_token
from common.store.accounts.users import User, update_seen
from common.store.connection.pool import Connection

REFRESH_LASTS = timedelta(days=30)
NO_STORE = {"Cache-Control": "no-store"}
log = structlog.get_logger(__name__)

PASSWORDS = web.AppKey("passwords", Passwords)


class Account(Struct, frozen=True):
    """An account as its owner sees it."""

    id: int
    username: str
    email: str
    created_at: Time


class TokenAnswer(Struct, frozen=True):
    """An account, an access token for `expires_in` seconds, and what gets the next one: once, within 30 days."""

    message: str
    access_token: str
    refresh_token: str
    expires_in: int
    token_type: Literal["Bearer"]
    user: Account


async def open_login(connection: Connection, request: web.Request, user: User, message: str) -> dict[str, Any]:
    """A new login's tokens; raise `InvalidCredentials` if the account was locked or its password changed since it was read."""
    opened = await insert_login(connection, user.id, user.password_hash)
    if opened is None:
        raise InvalidCredentials("the username or the password is wrong")
    login, scope = opened
    return await renew(connection, request, replace(user, scope=scope), login, message)


async def renew(connection: Connection, request: web.Request, user: User, login: Login, message: str) -> dict[str, Any]:
    """The next tokens of a login, as the body of a `TokenAnswer`."""
    refresh, tokens = new_secret(), request.app[TOKENS]
    await insert_refresh_token(connection, login.id, digest(refresh), REFRESH_LASTS)
    await update_seen(connection, user.id)
    return {
        "message": message,
        "access_token": tokens.issue(user.id, user.scope, login.id),
        "refresh_token": refresh,
        "expires_in": int(tokens.ttl.total_seconds()),
        "token_type": "Bearer",  # nosec B105
        "user": shape(user),
    }


def shape(user: User) -> dict[str, object]:
    """The body of an `Account`."""
    return {
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "created_at": user.created_at.isoformat(),
    }


async def note(
    connection: Connection, request: web.Request, event: str, user: int | None, *, by: str = "", addressed: bool = True
) -> None:
    """Write an act down, in the transaction that does it, and as an event of the log. `by`: if it was not the account itself;
    `addressed`: from where it was done is written down too.

    Before rows of logins are changed: it locks its account, and accounts come before logins.
    """
    address, actor = address_of(request) if addressed else None, by or f"user:{user}"
    await insert_act(connection, Act(event, actor, user, address, request_id=request[REQUEST_ID]))
    log.info(event, user=user, actor=actor, address=address)
