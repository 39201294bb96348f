"""Accounts over HTTP: register, log in, who am I."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from api import requests
from api.contract import Time, documented
from api.middlewares import public
from api.state import CALLER, PASSWORDS, RESOURCES, TOKENS
from common.errors import (
    EmailTaken,
    InvalidCredentials,
    InvalidToken,
    Overloaded,
    StoreUnavailable,
    UsernameTaken,
)
from common.passwords import SCHEME
from common.store.pool import connection
from common.store.users import User, insert_user, select_user, select_user_by_name

SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 1024  # characters, bytes
NEW_PASSWORD = f"at least {SHORTEST_PASSWORD} characters and at most {LONGEST_PASSWORD} bytes, not all blank"

Username = Annotated[
    str,
    Meta(
        title="3 to 32 letters, digits, dots, dashes or underscores",
        pattern=r"^\s*[A-Za-z0-9_.-]{3,32}\s*$",
        examples=["ada"],
    ),
]
Email = Annotated[
    str,
    Meta(
        title="an address such as ada@example.com",
        pattern=r"^\s*[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,190}\s*$",
        examples=["ada@example.com"],
    ),
]
NewPassword = Annotated[
    requests.Text,
    Meta(title=NEW_PASSWORD, min_length=SHORTEST_PASSWORD, max_length=LONGEST_PASSWORD),
]

routes = web.RouteTableDef()


class Register(Struct, frozen=True):
    """A new account."""

    username: Username
    email: Email
    password: NewPassword

    def __post_init__(self) -> None:
        if len(self.password.encode(errors="surrogatepass")) > LONGEST_PASSWORD:
            raise ValueError(f"password: expected {NEW_PASSWORD}")


class Login(Struct, frozen=True):
    """`username` may be the email."""

    username: requests.Text
    password: requests.Text


class Account(Struct, frozen=True):
    """An account as its owner sees it."""

    id: int
    username: str
    email: str
    created_at: Time


class AccountAnswer(Struct, frozen=True):
    """The caller's account."""

    user: Account


class TokenAnswer(Struct, frozen=True):
    """An account, and an access token for it."""

    message: str
    access_token: str
    user: Account


@routes.post("/api/auth/register")
@public
@documented(
    "Make an account",
    body=Register,
    answers={201: TokenAnswer},
    errors=(UsernameTaken, EmailTaken, Overloaded, StoreUnavailable),
)
async def register(request: web.Request) -> web.Response:
    content = await requests.read(request, Register)
    hashed = await request.app[PASSWORDS].hash(content.password)
    async with connection(request.app[RESOURCES].db) as held:
        user = await insert_user(held, content.username.strip(), content.email.strip(), hashed, SCHEME)
    return _with_token(request, user, "the account was created", status=201)


@routes.post("/api/auth/login")
@public
@documented(
    "Log in by username or email",
    body=Login,
    answers={200: TokenAnswer},
    errors=(InvalidCredentials, Overloaded, StoreUnavailable),
)
async def login(request: web.Request) -> web.Response:
    """By username or email; an unknown name and a wrong password are the same answer, and take as long."""
    content = await requests.read(request, Login)
    async with connection(request.app[RESOURCES].db) as held:
        user = await select_user_by_name(held, content.username.strip())
    hashed = user.password_hash if user else None
    if not await request.app[PASSWORDS].matches(content.password, hashed) or user is None:
        raise InvalidCredentials("the username or the password is wrong")
    return _with_token(request, user, "logged in", status=200)


@routes.get("/api/auth/me")
@documented("Whose token this is", answers={200: AccountAnswer}, errors=(StoreUnavailable,))
async def me(request: web.Request) -> web.Response:
    async with connection(request.app[RESOURCES].db) as held:
        user = await select_user(held, request[CALLER].id)
    if user is None:
        raise InvalidToken("the account of this token does not exist")
    return web.json_response({"user": _shape(user)}, headers={"Cache-Control": "no-store"})


def _with_token(request: web.Request, user: User, message: str, *, status: int) -> web.Response:
    token = request.app[TOKENS].issue(user.id, user.scope)
    body = {"message": message, "access_token": token, "user": _shape(user)}
    return web.json_response(body, status=status, headers={"Cache-Control": "no-store"})


def _shape(user: User) -> dict[str, object]:
    return {
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "created_at": user.created_at.isoformat(),
    }
