"""A user's own logins: the list, and ending one, on every process within a second."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import jwt
import pytest

from tests.api.accounts.devices import Device, log_in, me, out, pass_days, post, refresh, register
from tests.api.conftest import Client, OpenApi


async def sessions(client: Client, device: Device) -> list[dict[str, Any]]:
    async with client.get("/api/auth/sessions", headers=device.headers) as answer:
        assert (200, "no-store") == (answer.status, answer.headers["Cache-Control"])
        found: list[dict[str, Any]] = (await answer.json())["sessions"]
        return found


async def end(client: Client, device: Device, session: object) -> tuple[int, str | None]:
    async with client.delete(f"/api/auth/sessions/{session}", headers=device.headers) as answer:
        return answer.status, (await answer.json()).get("code")


def id_of(device: Device) -> int:
    return int(jwt.decode(device.access, options={"verify_signature": False})["sid"])


async def test_the_list_has_the_own_open_logins_the_last_seen_first(api: Client, db: asyncpg.Pool) -> None:
    first = await register(api)
    _, body = await post(
        api, "login", {"username": "ada", "password": "correct horse battery"}, headers={"User-Agent": "a phone"}
    )
    phone = Device(body["access_token"], body["refresh_token"])
    gone = await log_in(api)
    await register(api, "bob")
    await post(api, "logout", {"refresh_token": gone.refresh})
    await db.execute(
        "UPDATE logins SET opened_at = opened_at - interval '1 hour', seen_at = seen_at - interval '1 hour'"
    )
    await refresh(api, first)
    found = await sessions(api, phone)
    seen, opened = (datetime.fromisoformat(found[0][name]) for name in ("seen_at", "created_at"))

    assert [(id_of(first), False), (id_of(phone), True)] == [(each["id"], each["current"]) for each in found]
    assert ("a phone", "127.0.0.1") == (found[1]["user_agent"], found[1]["address"])
    assert {"id", "created_at", "seen_at", "address", "user_agent", "current"} == set(found[0])
    assert timedelta(minutes=59) < seen - opened
    assert seen <= datetime.now(UTC)


async def test_what_cannot_be_renewed_is_not_listed(api: Client, db: asyncpg.Pool) -> None:
    for change in (
        "UPDATE refresh_tokens SET expires_at = now() - interval '1 second'",
        "UPDATE logins SET opened_at = now() - interval '91 days'",
        "UPDATE logins SET ended_at = now()",
    ):
        await register(api, "eve") if change.startswith("UPDATE refresh") else await log_in(api, "eve")
        await db.execute(change)
        device = await log_in(api, "eve")

        assert [id_of(device)] == [each["id"] for each in await sessions(api, device)], change


@pytest.mark.parametrize("name", ["x" * 5000, "b\xe4d \xff", "", None])
async def test_any_user_agent_is_stored(api: Client, name: str | None) -> None:
    await register(api)
    content = {"username": "ada", "password": "correct horse battery"}
    headers = {} if name is None else {"User-Agent": name}
    status, body = await post(api, "login", content, headers=headers, skip_auto_headers=["User-Agent"])
    [own] = [each for each in await sessions(api, Device(body["access_token"], "")) if each["current"]]

    assert 200 == status
    assert name is None or own["user_agent"] == name[:200]
    assert len(own["user_agent"] or "") <= 200


async def test_a_session_that_is_ended_is_out_on_every_process_within_a_second(
    api: Client, open_api: OpenApi, db: asyncpg.Pool
) -> None:
    other = await open_api()
    device, lost = await register(api), await log_in(api)
    assert 200 == await me(other, lost)

    assert (200, None) == await end(api, device, id_of(lost))
    await out(other, lost)
    await out(api, lost)
    assert 401 == (await refresh(other, lost))[0]
    assert 200 == await me(other, device)
    assert [id_of(device)] == [each["id"] for each in await sessions(other, device)]
    assert (404, "not_found") == await end(api, device, id_of(lost))
    assert 1 == await db.fetchval("SELECT count(*) FROM audit WHERE event = 'session_ended' AND actor LIKE 'user:%'")


async def test_the_current_session_may_be_ended(api: Client) -> None:
    device = await register(api)

    assert (200, None) == await end(api, device, id_of(device))
    await out(api, device)


async def test_another_ones_session_is_404_and_goes_on(api: Client, db: asyncpg.Pool) -> None:
    ada, bob = await register(api), await register(api, "bob")
    tried = [id_of(bob), 0, -1, 2**63, 10**19, "x", "1%00", "%F0%9F%98%80", " 1", "1.0", "٣"]

    assert [(404, "not_found")] * len(tried) == [await end(api, ada, each) for each in tried]
    assert 200 == (await refresh(api, bob))[0]
    assert 2 == await db.fetchval("SELECT count(*) FROM logins WHERE ended_at IS NULL")
    assert 0 == await db.fetchval("SELECT count(*) FROM audit WHERE event = 'session_ended'")


async def test_sessions_need_a_token(api: Client) -> None:
    device = await register(api)
    nobody = Device("", "")
    async with api.get("/api/auth/sessions") as answer:
        assert 401 == answer.status

    assert (401, "invalid_token") == await end(api, nobody, id_of(device))


async def test_a_deleted_account_leaves_no_address_of_its_logins(api: Client, db: asyncpg.Pool) -> None:
    device, other = await register(api), await log_in(api)
    await post(api, "ticket", {}, headers=other.headers)
    await post(api, "logout", {"refresh_token": other.refresh})
    await register(api, "bob")
    content = {"password": "correct horse battery"}
    async with api.delete("/api/auth/me", json=content, headers=device.headers) as done:
        assert 200 == done.status
    rows = await db.fetch("SELECT user_id IS NULL AS gone, address, user_agent, ended_at FROM logins ORDER BY id")

    assert [(True, None, None)] * 2 == [tuple(row)[:3] for row in rows[:2]]
    assert None not in [row["ended_at"] for row in rows[:2]]
    assert "127.0.0.1" == rows[2]["address"]
    assert 0 == await db.fetchval("SELECT count(*) FROM tickets")


async def test_a_login_past_its_end_is_not_listed_where_that_is_set_lower(open_api: OpenApi, db: asyncpg.Pool) -> None:
    api = await open_api(login_ttl=timedelta(days=1))
    old = await register(api)
    await pass_days(db, 1)
    young = await log_in(api)

    assert [id_of(young)] == [each["id"] for each in await sessions(api, young)]
    assert id_of(old) != id_of(young)
