"""Who may make an account: how many an hour from one network, what counts, and nobody where registration is closed."""

import asyncio
from typing import NoReturn

import asyncpg
import pytest
from redis.asyncio import Redis

from common.passwords import Passwords
from common.process.settings import Settings
from tests.api.accounts.devices import post
from tests.api.conftest import PASSWORD, Client, OpenApi

PRODUCTION = Settings.from_env(
    {"DATABASE_URL": "postgresql://h/d", "REDIS_URL": "redis://h", "QUOTEWELL_ENV": "production"}
).registration_limit


@pytest.fixture(autouse=True)
def _within_one_window(one_window: None) -> None: ...


async def register(client: Client, name: str, *, address: str, **changes: str) -> int:
    """The status of the answer."""
    content = {"username": name, "email": f"{name}@example.com", "password": PASSWORD} | changes
    return (await post(client, "register", content, headers={"X-Forwarded-For": address}))[0]


async def refuse(*_: object) -> NoReturn:
    raise AssertionError("a password was hashed")


async def test_one_network_gets_ten_accounts_an_hour_in_production_and_costs_no_other_network_one(
    open_api: OpenApi, db: asyncpg.Pool
) -> None:
    """An attack: somebody who has a /24 and a /48, and takes another address each time, at two processes."""
    apis = [await open_api(registration_limit=PRODUCTION, trusted_proxies=1) for _ in range(2)]
    four = [await register(apis[n % 2], f"four{n}", address=f"198.51.100.{n}") for n in range(30)]
    six = [await register(apis[n % 2], f"six{n}", address=f"2001:db8:1:{n:x}::{n:x}") for n in range(30)]
    others = [
        await register(apis[0], f"other{n}", address=address)
        for n, address in enumerate(("198.51.101.1", "2001:db8:2::1"))
    ]

    assert [201] * 10 + [429] * 20 == four
    assert [201] * 10 + [429] * 20 == six
    assert [201, 201] == others
    assert 22 == await db.fetchval("SELECT count(*) FROM users")


async def test_thirty_at_once_get_no_more(patient_redis: None, open_api: OpenApi, db: asyncpg.Pool) -> None:
    api = await open_api(registration_limit=10, trusted_proxies=1)
    answers = (register(api, f"name{n}", address=f"198.51.100.{n}") for n in range(30))
    statuses = await asyncio.gather(*answers)

    assert {201, 429} == set(statuses)
    assert 10 == statuses.count(201) == await db.fetchval("SELECT count(*) FROM users")


async def test_beyond_the_limit_one_is_told_when_to_come_again_before_any_hash(
    open_api: OpenApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = await open_api(registration_limit=1, trusted_proxies=1)
    assert 201 == await register(api, "ada", address="198.51.100.1")
    monkeypatch.setattr(Passwords, "hash", refuse)
    content = {"username": "eve", "email": "eve@example.com", "password": PASSWORD}
    async with api.post("/api/auth/register", json=content, headers={"X-Forwarded-For": "198.51.100.2"}) as answer:
        body = await answer.json()

    assert (429, "rate_limited") == (answer.status, body["code"])
    assert "expected at most 1 new accounts an hour from one network" == body["error"]
    assert 0 < body["retry_after"] <= 3600
    assert str(body["retry_after"]) == answer.headers["Retry-After"]


async def test_names_cannot_be_tried_out_without_end_by_registering_them(
    open_api: OpenApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attack: 409 tells that a name or an email has an account. From a whole network, at two processes, fifty are told an hour."""
    apis = [await open_api(registration_limit=PRODUCTION, trusted_proxies=1) for _ in range(2)]
    assert 201 == await register(apis[0], "ada", address="203.0.113.1")
    statuses = [await register(apis[n % 2], "ada", address=f"198.51.100.{n}") for n in range(50)]
    content = {"username": "ada", "email": "ada@example.com", "password": PASSWORD}
    with monkeypatch.context() as patched:
        patched.setattr(Passwords, "hash", refuse)
        status, body = await post(apis[0], "register", content, headers={"X-Forwarded-For": "198.51.100.9"})

    assert [409] * 50 == statuses
    assert (429, "rate_limited") == (status, body["code"])
    assert "expected at most 50 attempts to register an hour from one network" == body["error"]
    assert 409 == await register(apis[1], "ada", address="198.51.101.1")


async def test_a_registration_that_fails_counts_for_no_account(open_api: OpenApi, redis: Redis) -> None:
    api = await open_api(registration_limit=2, trusted_proxies=1)
    address = "198.51.100.1"
    statuses = [await register(api, "ada", address=address)]
    for _ in range(3):
        statuses += [
            await register(api, "ada", address=address, email="other@example.com"),
            await register(api, "other", address=address, email="ada@example.com"),
            await register(api, "other", address=address, password="short"),
            await register(api, "?", address=address),
        ]
    counted = [int(await redis.get(key) or 0) async for key in redis.scan_iter("registrations*")]

    assert [201] + [409, 409, 400, 400] * 3 == statuses
    assert [1, 7] == sorted(counted)  # an account, and attempts that were told whether somebody has a name
    assert [201, 429] == [await register(api, name, address=address) for name in ("ben", "cyd")]


async def test_without_redis_each_process_counts_for_itself(open_api: OpenApi) -> None:
    apis = [
        await open_api(redis_url="redis://127.0.0.1:9/0", registration_limit=2, trusted_proxies=1) for _ in range(2)
    ]
    statuses = [await register(apis[n // 3], f"name{n}", address="198.51.100.1") for n in range(6)]

    assert [201, 201, 429] * 2 == statuses


async def test_nobody_registers_where_it_is_closed_and_nothing_is_hashed(
    open_api: OpenApi, db: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = await open_api(registration_open=False)
    monkeypatch.setattr(Passwords, "hash", refuse)
    content = {"username": "ada", "email": "ada@example.com", "password": PASSWORD}
    answers = [await post(api, "register", body) for body in (content, {})]

    assert [(403, "registration_closed")] * 2 == [(status, body["code"]) for status, body in answers]
    assert 0 == await db.fetchval("SELECT count(*) FROM users")


async def test_who_has_an_account_logs_in_where_registration_is_closed(api: Client, open_api: OpenApi) -> None:
    await register(api, "ada", address="")
    closed = await open_api(registration_open=False)

    assert 200 == (await post(closed, "login", {"username": "ada", "password": PASSWORD}))[0]
