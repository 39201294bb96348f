"""What `quotewell doctor` looks at, one function a thing. Each tells what it found, how bad that is, and what to do about it.

It changes nothing and asks nothing of the provider: that would cost a call.
"""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import psycopg
from msgspec import Struct
from redis.exceptions import RedisError

from common.errors import InvalidSettings, StoreUnavailable, StoreUnfit
from common.process.resources import Resources
from common.process.settings import Settings
from common.store.budget.ledger import select_now
from common.store.connection.pool import acquire
from db.applied import select_applied
from ops.stores import first_line

OLDEST_POSTGRES, OLDEST_REDIS = 14, (6, 2)
CLOCK_APART, CLOCK_FAR_APART = 1.0, 30.0  # seconds
LITTLE, TOO_LITTLE = 2 << 30, 200 << 20  # bytes of a disk
FULL = 0.9  # of Redis's memory


class Check(Struct, frozen=True):
    """One thing that was looked at. `todo`: null where it is well."""

    name: str
    state: Literal["ok", "warning", "problem"]
    told: str
    todo: str | None = None


def place(url: str) -> str:
    """Where a store is, without who asks: a URL may hold passwords before its host and after its path."""
    parts = urlsplit(url)
    return f"{parts.path.lstrip('/') or 'by default'} at {parts.netloc.rpartition('@')[2] or 'a local socket'}"


def check_secret(settings: Settings) -> Check:
    """Whether an API process would start with these settings."""
    stores = {"DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url}
    try:
        Settings.from_env({**os.environ, **stores}, serves_tokens=True)
    except InvalidSettings as error:
        return Check(
            "settings", "warning", f"{settings.environment}, enough for worker and beat", f"{error}: the API needs it"
        )
    return Check("settings", "ok", settings.environment)


async def check_database(resources: Resources) -> AsyncIterator[Check]:
    """Reachable, new enough, migrated, and of one mind about the time."""
    where = f"database {place(resources.settings.database_url)}"
    try:
        async with acquire(resources.db) as connection:
            version = connection.get_server_version()
            yield _version(
                "PostgreSQL", f"{version.major}.{version.minor}", where, fits=version.major >= OLDEST_POSTGRES
            )
            migrations = await asyncio.to_thread(check_migrations, resources.settings.database_url)
            yield migrations
            if migrations.state != "problem":
                began = time.time()
                yield check_clock(began, await select_now(connection), time.time())
    except StoreUnavailable as error:
        yield check_refusal(where, error)


def check_refusal(where: str, error: StoreUnavailable) -> Check:
    """What the server said, or the machine; a pooler's refusal of our settings has a remedy of its own."""
    reason = first_line(error) if error.__cause__ and str(error.__cause__) else ""
    told = f"{'refuses' if isinstance(error, StoreUnfit) else 'does not answer'}{reason and f': {reason}'}"
    todo = "see that it runs, and that DATABASE_URL leads to it"
    if "startup parameter" in reason:
        todo = "lead DATABASE_URL past the pooler, or add pgbouncer=true to it"
    return Check("PostgreSQL", "problem", f"{where} {told}", todo)


def _version(name: str, version: str, where: str, *, fits: bool) -> Check:
    told = f"{version}, {where}"
    if fits:
        return Check(name, "ok", told)
    oldest = OLDEST_POSTGRES if name == "PostgreSQL" else ".".join(map(str, OLDEST_REDIS))
    return Check(name, "problem", told, f"expected {oldest} or newer")


def check_migrations(database_url: str) -> Check:
    try:
        found = select_applied(database_url)
    except psycopg.Error as error:
        return Check(
            "migrations", "problem", f"cannot be read: {type(error).__name__}", "see that the user may read the tables"
        )
    if found.pending:
        told = f"{len(found.pending)} not applied, from {found.pending[0]} on"
        return Check("migrations", "problem", told, "run `quotewell migrate`")
    if found.edited:
        told = f"edited after they ran: {', '.join(found.edited)}"
        return Check(
            "migrations", "problem", told, "bring back the text that ran, and write a new migration for the change"
        )
    if found.foreign:
        told = f"unknown here: {', '.join(found.foreign)}"
        return Check("migrations", "warning", told, "a newer version was deployed on this database; run that one")
    return Check("migrations", "ok", f"{len(found.applied)} applied, none edited")


def check_clock(began: float, theirs: datetime, ended: float) -> Check:
    """The answer was made between the two; what lies outside is the difference."""
    apart = max(began - theirs.timestamp(), theirs.timestamp() - ended, 0.0)
    told = f"the database's is {apart:.1f} s off this machine's" if apart else "the database's is this machine's"
    if apart <= CLOCK_APART:
        return Check("clock", "ok", told)
    todo = "let NTP set both: calls are counted by the database's clock, tokens by this one"
    return Check("clock", "problem" if apart > CLOCK_FAR_APART else "warning", told, todo)


async def check_redis(resources: Resources) -> AsyncIterator[Check]:
    """Reachable and new enough, with room. It need keep nothing over a restart."""
    where = f"database {place(resources.settings.redis_url)}"
    try:
        info = await resources.redis.info()
    except (RedisError, OSError) as error:
        told = f"{where} does not answer ({type(error).__name__})"
        yield Check("Redis", "problem", told, "see that it runs, and that REDIS_URL leads to it")
        return
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info["redis_version"])
    fits = tuple(map(int, str(info["redis_version"]).split(".")[:2])) >= OLDEST_REDIS
    yield _version("Redis", f"{name} {version}", where, fits=fits)
    yield check_memory(info)


def check_memory(info: Mapping[str, Any]) -> Check:
    used, most, policy = int(info["used_memory"]), int(info.get("maxmemory") or 0), str(info.get("maxmemory_policy"))
    told = f"{_bytes(used)} used of {_bytes(most) if most else 'no bound'}, {policy}"
    if most and policy != "noeviction":
        todo = "set maxmemory-policy to noeviction: a full one forgets wake-ups and counts of failed logins"
        return Check("Redis memory", "warning", told, todo)
    if most and used > FULL * most:
        return Check("Redis memory", "warning", told, "give it more memory: a full one takes no writes")
    return Check("Redis memory", "ok", told)


def check_disk(home: Path) -> Check:
    """Of this machine; a store elsewhere has its own."""
    folder = home if home.exists() else Path()
    disk = shutil.disk_usage(folder)
    told = f"{_bytes(disk.free)} free of {_bytes(disk.total)} at {folder.resolve()}"
    if disk.free >= LITTLE:
        return Check("disk", "ok", told)
    return Check(
        "disk", "problem" if disk.free < TOO_LITTLE else "warning", told, "make room: a full disk stops PostgreSQL"
    )


def _bytes(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count / (1 << 20):.1f} MiB"
