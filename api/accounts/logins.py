"""Logins over HTTP: log in, renew tokens, log out here or everywhere, get a ticket for the private stream."""

from datetime import timedelta
from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from api.accounts.credentials import PASSWORDS, TokenAnswer, note, open_login, renew
from api.accounts.throttle import THROTTLE
from api.http import requests
from api.http.answers import NO_STORE
from api.http.clients import address_of
from api.http.contract import documented
from api.http.keys import CALLER, RESOURCES
from api.http.middlewares import public
from common.core.secrets import digest, new_secret
from common.errors import InvalidCredentials, InvalidToken, Overloaded, RateLimited, StoreUnavailable
from common.store.accounts.audit import select_has_logged_in
from common.store.accounts.logins import (
    Login,
    end_login,
    end_logins,
    insert_ticket,
    select_is_open,
    select_login,
    select_reused,
    take_ticket,
    use_refresh_token,
)
from common.store.accounts.users import User, select_user, select_user_by_name
from common.store.connection.pool import acquire, transaction

KNOWN_ADDRESS_TTL = timedelta(days=30)  # after a login from an address
TICKET_TTL = timedelta(seconds=30)

RefreshToken = Annotated[str, Meta(title="a refresh token, as it was given", pattern="^[A-Za-z0-9_-]{1,100}$")]

routes = web.RouteTableDef()


class NameAndPassword(Struct, frozen=True):
    """`username` may be the email."""

    username: requests.Text
    password: requests.Text


class Refresh(Struct, frozen=True, forbid_unknown_fields=True):
    """A refresh token: good once."""

    refresh_token: RefreshToken


class Logout(Struct, frozen=True, forbid_unknown_fields=True):
    """Which login to end; `everywhere`: all of its account."""

    refresh_token: RefreshToken
    everywhere: Annotated[bool, Meta(title="true or false")] = False


class MessageAnswer(Struct, frozen=True):
    """What was done, in words."""

    message: str


class TicketAnswer(Struct, frozen=True):
    """Good once, for `expires_in` seconds."""

    ticket: str
    expires_in: int


@routes.post("/api/auth/login")
@public
@documented(
    "Log in by username or email",
    body=NameAndPassword,
    answers={200: TokenAnswer},
    errors=(InvalidCredentials, RateLimited, Overloaded, StoreUnavailable),
)
async def login(request: web.Request) -> web.Response:
    """By username or email. An unknown name and a wrong password get the same answer after the same time."""
    content = await requests.read(request, NameAndPassword)
    db = request.app[RESOURCES].db
    async with acquire(db) as connection:
        user = await select_user_by_name(connection, content.username.strip())
    try:
        proved = await prove(request, user, content.username, content.password)
    except InvalidCredentials:
        async with acquire(db) as connection:
            await note(connection, request, "login_failed", user.id if user else None, by="anybody")
        raise
    async with transaction(db) as connection:
        body = await open_login(connection, request, proved, "logged in")
        await note(connection, request, "logged_in", proved.id)
    return web.json_response(body, headers=NO_STORE)


async def prove(request: web.Request, user: User | None, name: str, password: str) -> User:
    """The user, if the password is right; raise `InvalidCredentials`, or `RateLimited` after too many failures."""
    resources = request.app[RESOURCES]
    address = address_of(request)

    async def is_known() -> bool:
        async with acquire(resources.db) as connection:
            return await select_has_logged_in(connection, user.id if user else 0, address, within=KNOWN_ADDRESS_TTL)

    account = f"account {user.id}" if user else f"name {name.strip().casefold()}"
    async with request.app[THROTTLE].attempt(account, address, is_known=is_known):
        # Without a user, too: else the time of the answer would show which names exist.
        is_right = await request.app[PASSWORDS].matches(password, user.password_hash if user else None)
        if user is None or user.locked or not is_right:
            raise InvalidCredentials("the username or the password is wrong")
        return user


@routes.post("/api/auth/refresh")
@public
@documented(
    "The next tokens of a login",
    body=Refresh,
    answers={200: TokenAnswer},
    errors=(InvalidToken, StoreUnavailable),
)
async def refresh(request: web.Request) -> web.Response:
    """Each refresh token is good once. If one is used again, either use was a thief's: the login ends."""
    hashed = digest((await requests.read(request, Refresh)).refresh_token)
    async with transaction(request.app[RESOURCES].db) as connection:
        found = await use_refresh_token(connection, hashed)
        user = await select_user(connection, found.user) if found else None
        if found is not None and user is not None:
            body = await renew(connection, request, user, found, "the tokens were renewed")
            return web.json_response(body, headers=NO_STORE)
        if (reused := await select_reused(connection, hashed)) is not None:
            await note(connection, request, "token_reused", reused.user, by="anybody")
            await end_login(connection, reused.id)
    raise InvalidToken("the refresh token was used, has expired or is unknown; log in again")


@routes.post("/api/auth/logout")
@public
@documented(
    "End a login, or all of its account",
    body=Logout,
    answers={200: MessageAnswer},
    errors=(InvalidToken, StoreUnavailable),
)
async def logout(request: web.Request) -> web.Response:
    """Its access and refresh tokens stop working on every process within a second. The refresh token proves the caller."""
    content = await requests.read(request, Logout)
    async with transaction(request.app[RESOURCES].db) as connection:
        found = await select_login(connection, digest(content.refresh_token))
        if found is None:
            raise InvalidToken("the refresh token is unknown")
        if content.everywhere or await select_is_open(connection, found.id):
            await note(connection, request, "logged_out_everywhere" if content.everywhere else "logged_out", found.user)
        if content.everywhere:
            await end_logins(connection, found.user)
        else:
            await end_login(connection, found.id)
    return web.json_response({"message": "logged out"}, headers=NO_STORE)


@routes.post("/api/auth/ticket")
@documented("A ticket for the private stream", answers={201: TicketAnswer}, errors=(StoreUnavailable,))
async def ticket(request: web.Request) -> web.Response:
    """A browser's EventSource sends no headers, and a token must not be in a URL. A ticket may be: it is good once, for 30 seconds."""
    text = new_secret()
    async with acquire(request.app[RESOURCES].db) as connection:
        await insert_ticket(connection, request[CALLER].login, digest(text), TICKET_TTL)
    body = {"ticket": text, "expires_in": int(TICKET_TTL.total_seconds())}
    return web.json_response(body, status=201, headers=NO_STORE)


async def redeem(request: web.Request, ticket: str) -> Login:
    """The login that a ticket stands for; raise `InvalidToken`."""
    async with acquire(request.app[RESOURCES].db) as connection:
        found = await take_ticket(connection, digest(ticket))
    if found is None:
        raise InvalidToken("the ticket was used, has expired or is unknown; get another")
    return found
