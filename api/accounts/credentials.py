"""What a proven user receives: an access token, a refresh token, the account. This module checks no password."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import structlog
from aiohttp import web
from msgspec import Struct

from api.accounts.tokens import TOKENS
from api.http.clients import address_of
from api.http.keys import REQUEST_ID, RESOURCES
from common.core.secrets import digest, new_secret
from common.errors import InvalidCredentials
from common.operations.types import Time
from common.passwords import Passwords
from common.store.accounts.audit import Act, insert_act
from common.store.accounts.logins import Login, insert_login, insert_refresh_token, update_login
from common.store.accounts.users import User, update_seen
from common.store.connection.pool import Connection

REFRESH_TTL = timedelta(days=30)
MAX_USER_AGENT = 200  # characters
log = structlog.get_logger(__name__)

PASSWORDS = web.AppKey("passwords", Passwords)


class Account(Struct, frozen=True):
    """An account as its owner sees it."""

    id: int
    username: str
    email: str
    created_at: Time


class TokenAnswer(Struct, frozen=True):
    """An account, an access token for `expires_in` seconds, and a refresh token that is good once, within 30 days, and no longer than the
    login lasts."""

    message: str
    access_token: str
    refresh_token: str
    expires_in: int
    token_type: Literal["Bearer"]
    user: Account


async def open_login(connection: Connection, request: web.Request, user: User, message: str) -> dict[str, Any]:
    """The tokens of a new login; raise `InvalidCredentials` if the account was locked or its password changed since `user` was read."""
    lasts = request.app[RESOURCES].settings.login_ttl
    opened = await insert_login(connection, user.id, user.password_hash, lasts=lasts)
    if opened is None:
        raise InvalidCredentials("the username or the password is wrong")
    login, scope = opened
    return await renew(connection, request, replace(user, scope=scope), login, new_secret(), message)


async def renew(
    connection: Connection, request: web.Request, user: User, login: Login, refresh: str, message: str
) -> dict[str, Any]:
    """The next tokens of a login, as the body of a `TokenAnswer`. `refresh`: its next refresh token."""
    tokens = request.app[TOKENS]
    ttl = max(timedelta(0), min(tokens.ttl, login.ends_at - datetime.now(UTC)))
    await insert_refresh_token(connection, login, digest(refresh), REFRESH_TTL)
    await update_seen(connection, user.id)
    await update_login(connection, login.id, address_of(request), user_agent_of(request))
    return {
        "message": message,
        "access_token": tokens.issue(user.id, user.scope, login.id, ttl=ttl),
        "refresh_token": refresh,
        "expires_in": int(ttl.total_seconds()),
        "token_type": "Bearer",  # nosec B105
        "user": shape(user),
    }


def user_agent_of(request: web.Request) -> str | None:
    """The start of what the client calls itself, as text that PostgreSQL stores."""
    name = request.headers.get("User-Agent")
    return name and name.encode(errors="replace").decode()[:MAX_USER_AGENT]


def shape(user: User) -> dict[str, object]:
    """The body of an `Account`."""
    return {
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "created_at": user.created_at.isoformat(),
    }


async def note(
    connection: Connection,
    request: web.Request,
    event: str,
    user: int | None,
    *,
    by: str = "",
    addressed: bool = True,
    subject: str | None = None,
) -> None:
    """Record an act in the audit, in the transaction that performs it, and log it. `by`: the actor, if not the user itself;
    `addressed`: record the client's address, too. `subject`: what else it is about.

    Call it before changing rows of `logins`: it locks the user's row, and the lock order is users, then logins.
    """
    address = address_of(request) if addressed else None
    actor = by or f"user:{user}"
    await insert_act(connection, Act(event, actor, user, address, subject, request[REQUEST_ID]))
    log.info(event, user=user, actor=actor, address=address)
