"""Requests that are refused: wrong passwords, broken bodies, broken HTTP, and secrets in the wrong place."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote

import aiohttp
import jwt

from api.accounts.tokens import Tokens
from tests.e2e.environment import BOTH, ODD, Environment
from tests.harness.polling import eventually

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class User:
    """An account and what it was handed."""

    name: str
    password: str
    access: str
    refresh: str

    @property
    def keys(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access}"}


async def register(environment: Environment, name: str) -> User:
    password = environment.canaries.plant(f"the password of {name}", ODD)
    status, body = await environment.post(
        "/api/auth/register", username=name, email=f"{name}@example.com", password=password
    )
    assert 201 == status
    return User(name, password, body["access_token"], body["refresh_token"])


async def try_to_register(environment: Environment, *, at: int) -> int:
    """The status, of an account that need not come to be."""
    name, password = environment.new_symbol(), environment.canaries.plant("the password of nobody", ODD)
    account = {"username": name, "email": f"{name}@example.com", "password": password}
    return (await environment.post("/api/auth/register", at=at, **account))[0]


async def registrations_are_refused(environment: Environment) -> None:
    await register(environment, "ada")
    plant = environment.canaries.plant
    for name, email, password, status in (
        ("ada", "other@example.com", plant("the password of a second ada"), 409),
        ("abc", "ada@example.com", plant("the password of a second address"), 409),
        ("abc", "abc@example.com", plant("a password that is too long", "{}" + "x" * 1100), 400),
        ("abc", "no address", plant("the password of no address"), 400),
        (plant("a password as a name", "{}@"), "abc@example.com", plant("the password of no name"), 400),
    ):
        told = await environment.post("/api/auth/register", username=name, email=email, password=password)
        assert status == told[0]


async def accounts_come_and_go(environment: Environment) -> None:
    """Everything that hands out tokens, and each refusal on the way."""
    bob, plant, post = await register(environment, "bob"), environment.canaries.plant, environment.post
    _, body = await post("/api/auth/refresh", refresh_token=bob.refresh)
    environment.stack.execute("UPDATE refresh_tokens SET used_at = used_at - interval '11 seconds'")  # past the grace
    for used in (bob.refresh, body["refresh_token"], plant("a refresh token that is not ours")):
        assert 401 == (await post("/api/auth/refresh", refresh_token=used))[0]
    for dead in (bob.refresh, plant("a strange refresh token")):
        assert 200 == (await post("/api/auth/logout", refresh_token=dead))[0]

    _, body = await post("/api/auth/login", username="bob@example.com", password=bob.password, at=1)
    token, wrong, new = body["access_token"], plant("a wrong current password"), plant("a new password", ODD)
    path = "/api/auth/password"
    assert 401 == (await post(path, token, current_password=wrong, new_password=new))[0]
    status, body = await post(path, token, current_password=bob.password, new_password=new)
    assert 200 == status
    keys = {"Authorization": f"Bearer {body['access_token']}"}
    for password, status in ((wrong, 401), (new, 200), (new, 401)):
        told = await environment.request("DELETE", "/api/auth/me", json={"password": password}, headers=keys)
        assert status == told[0]

    async def revoked() -> bool:
        return [401, 401] == [
            (await environment.request("GET", "/api/auth/me", at=at, headers=bob.keys))[0] for at in BOTH
        ]

    await eventually(revoked, what="the tokens of a deleted account are refused")


async def logins_fail(environment: Environment) -> None:
    cat, wrong = await register(environment, "cat"), environment.canaries.plant("a wrong password", ODD)
    tried = [(await environment.post("/api/auth/login", username="cat", password=wrong))[0] for _ in range(12)]
    assert [401] * 10 + [429] * 2 == tried
    assert 401 == (await environment.post("/api/auth/login", username=cat.password, password=wrong))[0]
    assert 401 == (await environment.post("/api/auth/login", username="nobody", password=cat.password))[0]


async def bodies_are_refused(environment: Environment) -> None:
    password = environment.canaries.plant("a password in a bad body").encode()
    good = b'{"username": "dan", "password": "%b"}' % password
    for body, kind, status in (
        (good[:-1], "application/json", 400),
        (good[:-1] + b', "password": "%b"}' % password, "application/json", 400),
        (good.replace(b"dan", b"\xff"), "application/json", 400),
        (good.replace(b"dan", b"\\ud800"), "application/json", 400),
        (good.replace(b'"dan"', b"[1]"), "application/json", 400),
        (good.replace(b'"%b"' % password, b'["%b"]' % password), "application/json", 400),
        (good.replace(password, password + b"\\u0000"), "application/json", 400),
        (b'["%b"]' % password, "application/json", 400),
        (b"username=dan&password=" + password, "application/x-www-form-urlencoded", 415),
        (good, "text/plain", 415),
        (good + b" " * 70_000 + password, "application/json", 413),
    ):
        for at, path in enumerate(("/api/auth/login", "/api/auth/refresh")):
            told = await environment.request("POST", path, at=at, data=body, headers={"Content-Type": kind})
            assert (body[:99], status) == (body[:99], told[0])


async def nonsense_is_sent(environment: Environment) -> None:
    """What is no HTTP, or nearly; and a body that never ends, which is waited for aside."""
    eve = await register(environment, "eve")
    token, password = eve.access.encode(), eve.password.encode()
    head = b"POST /api/auth/login HTTP/1.1\r\nHost: q\r\nConnection: close\r\nContent-Type: application/json\r\n"
    for text in (
        b"GET /api/auth/me?token=%b HTTP/9\r\n\r\n" % token,
        b"GET /api/auth/me?token=%b\r\n\r\n" % token,
        b'{"username": "eve", "password": "%b"}\r\n\r\n' % password,
        head + b"Authorization Bearer %b\r\n\r\n" % token,
        head + b"Authorization: Bearer %b\0\r\n\r\n" % token,
        head + b"Authorization: Bearer %b\r\n\r\n" % (token * 100),
        head + b"Cookie: session=%b\r\n\r\n" % token,
        head + b"Expect: %b\r\n\r\n" % password,
        head + b"Content-Length: %b\r\n\r\n" % password,
        head + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n%b" % password,
        head + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(password), password),
        head + b"Transfer-Encoding: %b\r\n\r\n" % password,
        head + b"Transfer-Encoding: chunked\r\n\r\n%b\r\n%b\r\n0\r\n\r\n" % (password, password),
    ):
        for at in BOTH:
            assert (text, 4) == (text, await environment.send_raw(text, at=at) // 100)
    slow = head + b'Content-Length: 999\r\n\r\n{"password": "%b"' % password
    environment.background += [asyncio.create_task(environment.send_raw(slow, at=at)) for at in BOTH]


async def secrets_stand_in_urls(environment: Environment) -> None:
    """In the query and in the Referer, wherever one might put them."""
    fay, env = await register(environment, "fay"), environment.stack.env
    given = "&".join(
        (
            f"token={fay.access}",
            f"access_token={fay.access}",
            f"refresh_token={fay.refresh}",
            f"password={quote(fay.password, safe='')}",
            f"apikey={env['ALPHA_VANTAGE_API_KEY']}",
            f"secret={quote(env['JWT_SECRET_KEY'], safe='')}",
        )
    )
    headers = {"Referer": f"http://app.test/?{given}", "Connection": "keep-alive", "Prefer": "wait=15"}
    for path, status in (
        ("/api/auth/me", 401),
        ("/api/auth/login", 405),
        ("/api/stock/AAPL", 200),
        ("/api/stock/AAPL/chart", 200),
        ("/api/stock/AAPL/history", 400),
        ("/api/stock/!", 400),
        ("/api/stocks", 400),
        ("/api/stream", 400),
        ("/api/watchlist/stream", 400),
        ("/api/search/ibm", 200),
        ("/api/market/overview", 200),
        ("/api/health", 200),
        ("/api/health/live", 400),
        ("/nowhere", 404),
    ):
        for at in BOTH:
            told = await environment.request("GET", f"{path}?{given}", at=at, headers=headers)
            assert (path, status) == (path, told[0]), (path, told)


async def tickets_are_used(environment: Environment) -> None:
    """Each opens one stream at a time; who listens to a list hears nothing of it, nor do workers that are woken for what is added."""
    gil = await register(environment, "gil")
    for at, symbol in enumerate(("AAPL", "ORCL")):
        assert 201 == (await environment.post("/api/watchlist", gil.access, at=at, symbol=symbol))[0]
        ticket = (await environment.post("/api/auth/ticket", gil.access, at=at))[1]["ticket"]
        async with environment.stack.http.get(f"{environment.urls[at]}/api/watchlist/stream?ticket={ticket}") as answer:
            assert 200 == answer.status
            heard = await answer.content.readuntil(b"\n\n")
            for wrong in (ticket, environment.canaries.plant("a ticket that is not ours"), f"{ticket}&ticket={ticket}"):
                told = await environment.request("GET", f"/api/watchlist/stream?ticket={wrong}", at=at)
                assert 400 <= told[0] <= 401
        environment.answers.append(("a private stream", str(answer.headers).encode() + heard))


async def tokens_are_forged(environment: Environment) -> None:
    hal, env = await register(environment, "hal"), environment.stack.env
    claims = jwt.decode(hal.access, options={"verify_signature": False})
    user, login = int(claims["sub"]), int(claims["sid"])
    for token, status in (
        (Tokens(env["JWT_SECRET_KEY"], ttl=-HOUR).issue(user, "", login), 401),
        (Tokens(env["JWT_PREVIOUS_SECRET_KEY"], ttl=HOUR).issue(user, "", login), 200),
        (Tokens("not ours" * 5, ttl=HOUR).issue(user, "operator", login), 401),
        (hal.access[:-4] + "AAAA", 401),
        (hal.access * 12, 401),
        (f"{hal.access} {hal.access}", 401),
        (hal.refresh, 401),
    ):
        environment.register_token("a token", token)
        told = await environment.request("GET", "/api/auth/me", headers={"Authorization": f"Bearer {token}"})
        assert (token[:99], status) == (token[:99], told[0])
    for headers in (
        {"Authorization": aiohttp.encode_basic_auth("hal", hal.password, "utf-8")},
        {"Authorization": hal.access},
        {"Cookie": f"token={hal.access}"},
        {"X-Api-Key": hal.access, "Authorization": f"Token {hal.access}"},
    ):
        assert 401 == (await environment.request("GET", "/api/auth/me", headers=headers))[0]


CLIENT_ERRORS = (
    registrations_are_refused,
    accounts_come_and_go,
    logins_fail,
    bodies_are_refused,
    nonsense_is_sent,
    secrets_stand_in_urls,
    tickets_are_used,
    tokens_are_forged,
)
