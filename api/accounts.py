"""Accounts over HTTP: register, log in, who am I."""

from aiohttp import web

from api import requests
from api.middlewares import public
from api.state import CALLER, PASSWORDS, RESOURCES, TOKENS
from common.errors import InvalidCredentials, InvalidToken
from common.passwords import SCHEME
from common.store.pool import connection
from common.store.users import User, insert_user, select_user, select_user_by_name

SHORTEST_PASSWORD = 8

routes = web.RouteTableDef()


@routes.post("/api/auth/register")
@public
async def register(request: web.Request) -> web.Response:
    content = await requests.read_object(request)
    username, email = requests.username(content), requests.email(content)
    password = requests.new_password(content, shortest=SHORTEST_PASSWORD)
    hashed = await request.app[PASSWORDS].hash(password)
    async with connection(request.app[RESOURCES].db) as held:
        user = await insert_user(held, username, email, hashed, SCHEME)
    return _with_token(request, user, "the account was created", status=201)


@routes.post("/api/auth/login")
@public
async def login(request: web.Request) -> web.Response:
    """By username or email; an unknown name and a wrong password are the same answer, and take as long."""
    content = await requests.read_object(request)
    name, password = requests.text(content, "username"), requests.text(content, "password")
    async with connection(request.app[RESOURCES].db) as held:
        user = await select_user_by_name(held, name.strip())
    if not await request.app[PASSWORDS].matches(password, user.password_hash if user else None) or user is None:
        raise InvalidCredentials("the username or the password is wrong")
    return _with_token(request, user, "logged in", status=200)


@routes.get("/api/auth/me")
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
