"""Devices: logins of an account over HTTP, each with the tokens that it got last."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg

from tests.api.conftest import PASSWORD, Client
from tests.harness.polling import BUSY, eventually


@dataclass(slots=True)
class Device:
    """One login of an account, with the tokens that it was given last."""

    access: str
    refresh: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access}"}


async def post(client: Client, path: str, content: dict[str, Any], **more: Any) -> tuple[int, dict[str, Any]]:
    async with client.post(f"/api/auth/{path}", json=content, **more) as response:
        return response.status, await response.json()


async def register(client: Client, name: str = "ada") -> Device:
    content = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    status, body = await post(client, "register", content)
    assert 201 == status
    return Device(body["access_token"], body["refresh_token"])


async def log_in(client: Client, name: str = "ada", password: str = PASSWORD) -> Device:
    status, body = await post(client, "login", {"username": name, "password": password})
    assert 200 == status
    return Device(body["access_token"], body["refresh_token"])


async def me(client: Client, device: Device) -> int:
    async with client.get("/api/auth/me", headers=device.headers) as response:
        return response.status


async def out(client: Client, device: Device) -> None:
    """Within a second the device's token is refused by this process."""

    async def refused() -> bool:
        return await me(client, device) == 401

    await eventually(refused, within=1 + BUSY)


async def refresh(client: Client, device: Device) -> tuple[int, dict[str, Any]]:
    return await post(client, "refresh", {"refresh_token": device.refresh})


async def pass_grace(db: asyncpg.Pool) -> None:
    """Let every token have been used eleven seconds earlier."""
    await db.execute("UPDATE refresh_tokens SET used_at = used_at - interval '11 seconds'")


async def pass_days(db: asyncpg.Pool, days: float) -> None:
    """Let every login have been opened that much earlier."""
    await db.execute("UPDATE logins SET opened_at = opened_at - $1::interval", timedelta(days=days))
