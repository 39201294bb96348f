"""Accounts over HTTP: register, show, change the password, delete."""

from dataclasses import replace
from typing import Annotated, Any

from aiohttp import web
from msgspec import Meta, Struct

from api.accounts.credentials import PASSWORDS, Account, TokenAnswer, note, open_login, shape
from api.accounts.logins import Email, MessageAnswer, prove
from api.accounts.registrations import REGISTRATIONS
from api.http import requests
from api.http.answers import NO_STORE
from api.http.clients import network_of
from api.http.contract import documented
from api.http.keys import CALLER, RESOURCES
from api.http.middlewares import public
from common.errors import (
    EmailTaken,
    InvalidCredentials,
    InvalidToken,
    Overloaded,
    RateLimited,
    RegistrationClosed,
    StoreUnavailable,
    UsernameTaken,
)
from common.operations.personal import erase_user
from common.passwords import MAX_PASSWORD_BYTES, SCHEME, check_policy
from common.store.accounts.keys import end_keys
from common.store.accounts.logins import end_logins
from common.store.accounts.resets import end_resets
from common.store.accounts.users import USERNAME, User, insert_user, select_user, update_password
from common.store.connection.pool import Connection, acquire, transaction

MIN_PASSWORD_LENGTH = 8  # characters; a setting may ask for more

Username = Annotated[
    str,
    Meta(
        title="3 to 32 letters, digits, dots, dashes or underscores",
        pattern=rf"^\s*{USERNAME}\s*$",
        examples=["ada"],
    ),
]
NewPassword = Annotated[
    requests.Text,
    Meta(
        title=f"at least {MIN_PASSWORD_LENGTH} characters and at most {MAX_PASSWORD_BYTES} bytes, not all blank",
        min_length=MIN_PASSWORD_LENGTH,
        max_length=MAX_PASSWORD_BYTES,
    ),
]

routes = web.RouteTableDef()


class Register(Struct, frozen=True):
    """A new account."""

    username: Username
    email: Email
    password: NewPassword


class PasswordChange(Struct, frozen=True, forbid_unknown_fields=True):
    """The old password proves the caller once more."""

    current_password: requests.Text
    new_password: NewPassword


class Deletion(Struct, frozen=True, forbid_unknown_fields=True):
    """The password proves the caller once more."""

    password: requests.Text


class AccountAnswer(Struct, frozen=True):
    """The caller's account."""

    user: Account


@routes.post("/api/auth/register")
@public
@documented(
    "Make an account",
    body=Register,
    answers={201: TokenAnswer},
    errors=(RegistrationClosed, UsernameTaken, EmailTaken, RateLimited, Overloaded, StoreUnavailable),
)
async def register(request: web.Request) -> web.Response:
    """A network may create a limited number of accounts an hour. A failed registration does not count."""
    request.app[REGISTRATIONS].check()
    content = await requests.read(request, Register)
    name, email = content.username.strip(), content.email.strip()
    check_policy(content.password, request.app[RESOURCES].settings, names=(name, email))
    async with request.app[REGISTRATIONS].attempt(network_of(request)):
        body = await _create(request, name, email, content.password)
    return web.json_response(body, status=201, headers=NO_STORE)


async def _create(request: web.Request, name: str, email: str, password: str) -> dict[str, Any]:
    """A new account, as the body of a `TokenAnswer`; raise `UsernameTaken` or `EmailTaken`."""
    hashed = await request.app[PASSWORDS].hash(password)
    async with transaction(request.app[RESOURCES].db) as connection:
        user = await insert_user(connection, name, email, hashed, SCHEME)
        body = await open_login(connection, request, user, "the account was created")
        await note(connection, request, "registered", user.id)
    return body


@routes.get("/api/auth/me")
@documented("Whose token this is", answers={200: AccountAnswer}, errors=(StoreUnavailable,))
async def me(request: web.Request) -> web.Response:
    return web.json_response({"user": shape(await _caller(request))}, headers=NO_STORE)


@routes.post("/api/auth/password")
@documented(
    "Change the password",
    body=PasswordChange,
    answers={200: TokenAnswer},
    errors=(InvalidCredentials, RateLimited, Overloaded, StoreUnavailable),
)
async def change_password(request: web.Request) -> web.Response:
    """All logins and API keys of the account end, on every process within a second. The answer has the tokens of a new login."""
    content = await requests.read(request, PasswordChange)
    resources = request.app[RESOURCES]
    user = await _caller(request)
    check_policy(content.new_password, resources.settings, names=(user.username, user.email))
    await prove(request, user, user.username, content.current_password)
    hashed = await request.app[PASSWORDS].hash(content.new_password)
    async with transaction(resources.db) as connection:
        if not await update_password(connection, user.id, hashed, SCHEME, instead_of=user.password_hash):
            raise InvalidCredentials("the password was changed meanwhile")
        await end_logins(connection, user.id)
        await end_keys(connection, user.id)
        await end_resets(connection, user.id)
        body = await open_login(connection, request, replace(user, password_hash=hashed), "the password was changed")
        await note(connection, request, "password_changed", user.id)
    return web.json_response(body, headers=NO_STORE)


@routes.delete("/api/auth/me")
@documented(
    "Delete the account",
    body=Deletion,
    answers={200: MessageAnswer},
    errors=(InvalidCredentials, RateLimited, Overloaded, StoreUnavailable),
)
async def delete_account(request: web.Request) -> web.Response:
    """Deletes everything that `GET /api/auth/me/export` gives. The audit keeps what happened and the account's number, but no address."""
    content = await requests.read(request, Deletion)
    user = await _caller(request)
    await prove(request, user, user.username, content.password)

    async def record(connection: Connection) -> None:
        await note(connection, request, "account_deleted", None, by=f"user:{user.id}", addressed=False)

    if not await erase_user(request.app[RESOURCES], user.id, record=record):
        raise InvalidToken("the account of this token does not exist")
    return web.json_response({"message": "the account was deleted"}, headers=NO_STORE)


async def _caller(request: web.Request) -> User:
    async with acquire(request.app[RESOURCES].db) as connection:
        user = await select_user(connection, request[CALLER].id)
    if user is None:
        raise InvalidToken("the account of this token does not exist")
    return user
