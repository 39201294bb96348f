"""Renewed tokens: repeats within ten seconds, copies that are found, and the end that every login has."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import asyncpg
import jwt
import pytest

from tests.api.accounts.devices import Device, log_in, me, out, pass_days, pass_grace, post, refresh, register
from tests.api.conftest import Client, OpenApi

DAY = 86_400  # seconds


def device_of(body: dict[str, Any]) -> Device:
    return Device(body["access_token"], body["refresh_token"])


def claims_of(device: Device) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(device.access, options={"verify_signature": False})
    return claims


async def test_renewals_at_once_on_two_processes_all_get_the_same_next_token(
    api: Client, open_api: OpenApi, db: asyncpg.Pool
) -> None:
    other = await open_api()
    device = await register(api)
    answers = await asyncio.gather(*(refresh((api, other)[number % 2], device) for number in range(20)))
    tabs = [device_of(body) for _, body in answers]

    assert [200] * 20 == [status for status, _ in answers]
    assert 1 == len({tab.refresh for tab in tabs})
    assert {claims_of(device)["sid"]} == {claims_of(tab)["sid"] for tab in tabs}
    assert 2 == await db.fetchval("SELECT count(*) FROM refresh_tokens")
    assert {200} == {await me(other, tab) for tab in tabs}
    assert [200, 200] == [(await refresh(api, tab))[0] for tab in tabs[:2]]


async def test_a_client_that_lost_the_answer_gets_it_again(api: Client, db: asyncpg.Pool) -> None:
    device = await register(api)
    _, lost = await refresh(api, device)
    status, body = await refresh(api, device)

    assert (200, lost["refresh_token"]) == (status, body["refresh_token"])
    await pass_grace(db)
    assert 200 == (await refresh(api, device_of(body)))[0]
    assert 0 == await db.fetchval("SELECT count(*) FROM audit WHERE event = 'token_reused'")


async def test_the_grace_is_ten_seconds_from_the_first_use(api: Client, db: asyncpg.Pool) -> None:
    device = await register(api)
    await refresh(api, device)
    for back, status in (("5 seconds", 200), ("4 seconds", 200), ("2 seconds", 401)):
        await db.execute("UPDATE refresh_tokens SET used_at = used_at - $1::text::interval", back)

        assert status == (await refresh(api, device))[0], back


async def test_a_copy_that_is_used_within_the_grace_shows_at_the_next_renewal(api: Client, db: asyncpg.Pool) -> None:
    """Thief and owner have the same next token: whoever renews second ends the login."""
    device = await register(api)
    owner = device_of((await refresh(api, device))[1])
    thief = device_of((await refresh(api, device))[1])
    assert 200 == (await refresh(api, owner))[0]
    await pass_grace(db)

    assert 401 == (await refresh(api, thief))[0]
    await out(api, owner)
    await out(api, thief)
    assert 1 == await db.fetchval("SELECT count(*) FROM audit WHERE event = 'token_reused'")


@pytest.mark.parametrize("way", ["logout", "ended"])
async def test_the_grace_ends_with_the_login(api: Client, db: asyncpg.Pool, way: str) -> None:
    device = await register(api)
    _, body = await refresh(api, device)
    if way == "logout":
        await post(api, "logout", {"refresh_token": body["refresh_token"]})
    else:
        await db.execute("UPDATE logins SET ended_at = now()")

    assert [401, 401] == [(await refresh(api, each))[0] for each in (device, device_of(body))]


async def test_the_next_token_is_no_function_of_the_token_alone(api: Client, open_api: OpenApi) -> None:
    """Else a stolen token would give all later ones."""
    other = await open_api(jwt_secret="another secret that has more than 32 bytes")
    device = await register(api)
    tokens = {(await refresh(client, device))[1]["refresh_token"] for client in (api, other)}

    assert 2 == len(tokens)
    assert {43} == {len(token) for token in tokens}


async def test_a_login_ends_after_ninety_days_however_often_it_was_renewed(
    api: Client, open_api: OpenApi, db: asyncpg.Pool
) -> None:
    other = await open_api()
    device = await register(api)
    for _ in range(4):
        status, body = await refresh(api, device)
        assert 200 == status
        device = device_of(body)
        await pass_days(db, 22)
    young = await log_in(api)
    await pass_days(db, 2.01)

    assert [401, 401] == [(await refresh(client, device))[0] for client in (api, other)]
    assert 200 == (await refresh(api, young))[0]
    assert 0 == await db.fetchval("SELECT count(*) FROM audit WHERE event = 'token_reused'")


async def test_no_token_outlives_its_login(open_api: OpenApi, db: asyncpg.Pool) -> None:
    api = await open_api()
    device = await register(api)
    await pass_days(db, 90 - 60 / DAY)
    _, body = await refresh(api, device)
    expires_in = claims_of(device_of(body))["exp"] - time.time()

    assert expires_in <= 60
    assert body["expires_in"] <= 60
    assert await db.fetchval(
        "SELECT max(expires_at) <= now() + interval '60 seconds' FROM refresh_tokens WHERE used_at IS NULL"
    )


async def test_how_long_a_login_lasts_is_a_setting(open_api: OpenApi, db: asyncpg.Pool) -> None:
    api = await open_api(login_ttl=timedelta(days=1))
    device = await register(api)
    first = (await refresh(api, device))[0]
    await pass_days(db, 1)

    assert (200, 401) == (first, (await refresh(api, device))[0])
