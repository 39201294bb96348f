"""Logins over HTTP: log in, renew tokens, log out here or everywhere."""

from datetime import timedelta
from typing import Annotated

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from api.accounts.credentials import PASSWORDS, TokenAnswer, note, open_login, renew
from api.accounts.throttle import THROTTLE
from api.accounts.tokens import TOKENS
from api.http import requests
from api.http.answers import NO_STORE
from api.http.clients import address_of
from api.http.contract import documented
from api.http.keys import RESOURCES
from api.http.middlewares import public
from common.core.secrets import digest
from common.errors import InvalidCredentials, InvalidToken, Overloaded, RateLimited, StoreUnavailable
from common.store.accounts.audit import select_has_logged_in
from common.store.accounts.logins import end_login, end_logins, select_reused, use_refresh_token
from common.store.accounts.users import EMAIL, User, lock_user, select_user, select_user_by_name
from common.store.connection.pool import acquire, transaction

KNOWN_ADDRESS_TTL = timedelta(days=30)  # after a login from an address
REFRESH_GRACE = timedelta(seconds=10)  # for two tabs that renew at once, and a client that repeats after a lost answer
NO_GRACE = timedelta(0)

Email = Annotated[
    str,
    Meta(
        title="an address such as ada@example.com",
        pattern=rf"^\s*{EMAIL}\s*$",
        examples=["ada@example.com"],
    ),
]
RefreshToken = Annotated[str, Meta(title="a refresh token, as it was given", pattern="^[A-Za-z0-9_-]{1,100}$")]

routes = web.RouteTableDef()


class NameAndPassword(Struct, frozen=True):
    """`username` or `email`; `username` may be the email, too. If there are both, `username` counts."""

    password: requests.Text
    username: requests.Text | UnsetType = UNSET
    email: Email | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.username is UNSET and self.email is UNSET:
            raise ValueError("username: expected username or email")

    @property
    def name(self) -> str:
        return self.username or self.email or ""


class Refresh(Struct, frozen=True, forbid_unknown_fields=True):
    """A refresh token: good once, and for repeats within 10 seconds."""

    refresh_token: RefreshToken


class Logout(Struct, frozen=True, forbid_unknown_fields=True):
    """An unused token of the login to end; `everywhere`: all logins of its account."""

    refresh_token: RefreshToken
    everywhere: Annotated[bool, Meta(title="true or false")] = False


class MessageAnswer(Struct, frozen=True):
    """What was done, in words."""

    message: str


@routes.post("/api/auth/login")
@public
@documented(
    "Log in by username or email",
    body=NameAndPassword,
    either=("username", "email"),
    answers={200: TokenAnswer},
    errors=(InvalidCredentials, RateLimited, Overloaded, StoreUnavailable),
)
async def login(request: web.Request) -> web.Response:
    """By username or email. An unknown name and a wrong password get the same answer after the same time."""
    content = await requests.read(request, NameAndPassword)
    db = request.app[RESOURCES].db
    async with acquire(db) as connection:
        user = await select_user_by_name(connection, content.name.strip())
    try:
        proved = await prove(request, user, content.name, content.password)
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
    resources, passwords = request.app[RESOURCES], request.app[PASSWORDS]
    address = address_of(request)

    async def is_known() -> bool:
        async with acquire(resources.db) as connection:
            known = await select_has_logged_in(connection, user.id if user else 0, address, within=KNOWN_ADDRESS_TTL)
        if not known:
            await passwords.pretend()
        return known

    account = f"account {user.id}" if user else f"name {name.strip().casefold()}"
    async with request.app[THROTTLE].attempt(account, address, is_known=is_known):
        # Without a user, too: else the time of the answer would show which names exist.
        is_right = await passwords.matches(password, user.password_hash if user else None)
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
    """Each refresh token is good once. A repeat within 10 seconds gets the same next refresh token, so two tabs that renew at once stay
    logged in. If one is used again later, either use was a thief's: the login ends.
    """
    token = (await requests.read(request, Refresh)).refresh_token
    resources, hashed = request.app[RESOURCES], digest(token)
    within = {"grace": REFRESH_GRACE, "lasts": resources.settings.login_ttl}
    async with transaction(resources.db) as connection:
        found = await use_refresh_token(connection, hashed, **within)
        user = await select_user(connection, found.user) if found else None
        if found is not None and user is not None:
            following = request.app[TOKENS].successor(token)
            body = await renew(connection, request, user, found, following, "the tokens were renewed")
            return web.json_response(body, headers=NO_STORE)
        if (reused := await select_reused(connection, hashed, **within)) is not None:
            await note(connection, request, "token_reused", reused.user, by="anybody")
            await end_login(connection, reused.id)
    raise InvalidToken("the refresh token was used, has expired or is unknown; log in again")


@routes.post("/api/auth/logout")
@public
@documented(
    "End a login, or all of its account",
    body=Logout,
    answers={200: MessageAnswer},
    errors=(StoreUnavailable,),
)
async def logout(request: web.Request) -> web.Response:
    """Its access and refresh tokens stop working on every process within a second.

    An unused refresh token of an open login proves the caller; any other token does nothing. The answer is the same for every token, as in
    RFC 7009: a client that is logged out already has what it wants, and a stranger learns nothing.
    """
    content = await requests.read(request, Logout)
    resources = request.app[RESOURCES]
    async with transaction(resources.db) as connection:
        found = await use_refresh_token(
            connection, digest(content.refresh_token), grace=NO_GRACE, lasts=resources.settings.login_ttl
        )
        if found is not None:
            await lock_user(connection, found.user)
            if await end_login(connection, found.id):  # not if a new password has ended it meanwhile
                if content.everywhere:
                    await end_logins(connection, found.user)
                await note(
                    connection, request, "logged_out_everywhere" if content.everywhere else "logged_out", found.user
                )
    return web.json_response({"message": "logged out"}, headers=NO_STORE)
