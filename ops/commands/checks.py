"""What `quotewell doctor` looks at, one function a thing: what was found, how bad that is, and what to do about it.

A check changes nothing and makes no call to the provider: settings and the journal say enough.
"""

import asyncio
import os
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import psycopg
from msgspec import Struct
from redis.exceptions import RedisError

from common.core.limits import PLANS, Rule
from common.core.provider.outcomes import THROTTLES, Outcome
from common.errors import InvalidSettings, StoreUnavailable, StoreUnfit
from common.operations.status import BeatStatus, ProviderStatus, StatusReport
from common.process.resources import Resources
from common.process.settings import Settings
from common.store.budget.ledger import select_now
from common.store.connection.pool import acquire
from db.applied import select_applied
from ops.commands.status import START_BEAT, START_BOTH, has_worker, provider_trouble
from ops.render import span
from ops.stores import first_line

MIN_POSTGRES, MIN_REDIS = 14, (6, 2)
CLOCK_WARNING, CLOCK_PROBLEM = 1.0, 30.0  # seconds between two clocks
DISK_WARNING, DISK_PROBLEM = 2 << 30, 200 << 20  # bytes that are free
MEMORY_WARNING = 0.9  # of Redis's memory


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
        found = f"{settings.environment}, enough for worker and beat"
        return Check("settings", "warning", found, f"{error}: the API needs it")
    return Check("settings", "ok", settings.environment)


def check_reads(settings: Settings) -> Check:
    """Whether an instance whose reads are for accounts gives one to anybody."""
    if settings.registration_open:
        found = "for accounts, but anybody may make one"
        return Check(
            "reads", "warning", found, "set REGISTRATION=closed, and make accounts with `quotewell user create`"
        )
    return Check("reads", "ok", "for accounts, which operators make")


async def check_database(resources: Resources) -> AsyncIterator[Check]:
    """Reachable, new enough, migrated, and with the time of this machine."""
    where = f"database {place(resources.settings.database_url)}"
    try:
        async with acquire(resources.db) as connection:
            version = connection.get_server_version()
            found = f"{version.major}.{version.minor}, {where}"
            yield _check_version("PostgreSQL", found, str(MIN_POSTGRES), fits=version.major >= MIN_POSTGRES)
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
    found = f"{where} {'refuses' if isinstance(error, StoreUnfit) else 'does not answer'}{reason and f': {reason}'}"
    todo = "see that it runs, and that DATABASE_URL leads to it"
    if "startup parameter" in reason:
        todo = "lead DATABASE_URL past the pooler, or add pgbouncer=true to it"
    return Check("PostgreSQL", "problem", found, todo)


def _check_version(name: str, found: str, oldest: str, *, fits: bool) -> Check:
    return Check(name, "ok", found) if fits else Check(name, "problem", found, f"expected {oldest} or newer")


def check_migrations(database_url: str) -> Check:
    name = "migrations"
    try:
        found = select_applied(database_url)
    except psycopg.Error as error:
        return Check(
            name, "problem", f"cannot be read: {type(error).__name__}", "see that the user may read the tables"
        )
    if found.pending:
        pending = f"{len(found.pending)} not applied, from {found.pending[0]} on"
        return Check(name, "problem", pending, "run `quotewell migrate`")
    if found.edited:
        todo = "bring back the text that ran, and write a new migration for the change"
        return Check(name, "problem", f"edited after they ran: {', '.join(found.edited)}", todo)
    if found.foreign:
        todo = "a newer version was deployed on this database; run that one"
        return Check(name, "warning", f"unknown here: {', '.join(found.foreign)}", todo)
    return Check(name, "ok", f"{len(found.applied)} applied, none edited")


def check_clock(began: float, theirs: datetime, ended: float) -> Check:
    """The answer was made between the two; what lies outside is the difference."""
    apart = max(began - theirs.timestamp(), theirs.timestamp() - ended, 0.0)
    found = f"the database's is {apart:.1f} s off this machine's" if apart else "the database's is this machine's"
    if apart <= CLOCK_WARNING:
        return Check("clock", "ok", found)
    todo = "let NTP set both: calls are counted by the database's clock, tokens by this one"
    return Check("clock", "problem" if apart > CLOCK_PROBLEM else "warning", found, todo)


async def check_redis(resources: Resources) -> AsyncIterator[Check]:
    """Reachable and new enough, with room. It need keep nothing over a restart."""
    where = f"database {place(resources.settings.redis_url)}"
    try:
        info = await resources.redis.info()
    except (RedisError, OSError) as error:
        found = f"{where} does not answer ({type(error).__name__})"
        yield Check("Redis", "problem", found, "see that it runs, and that REDIS_URL leads to it")
        return
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info["redis_version"])
    fits = tuple(map(int, str(info["redis_version"]).split(".")[:2])) >= MIN_REDIS
    yield _check_version("Redis", f"{name} {version}, {where}", ".".join(map(str, MIN_REDIS)), fits=fits)
    yield check_memory(info)


def check_memory(info: Mapping[str, Any]) -> Check:
    used, limit, policy = int(info["used_memory"]), int(info.get("maxmemory") or 0), str(info.get("maxmemory_policy"))
    found = f"{_bytes(used)} used of {_bytes(limit) if limit else 'no bound'}, {policy}"
    if limit and policy != "noeviction":
        todo = "set maxmemory-policy to noeviction: a full one forgets wake-ups and counts of failed logins"
        return Check("Redis memory", "warning", found, todo)
    if limit and used > MEMORY_WARNING * limit:
        return Check("Redis memory", "warning", found, "give it more memory: a full one takes no writes")
    return Check("Redis memory", "ok", found)


def check_key(settings: Settings, env: Mapping[str, str]) -> Iterator[Check]:
    """Whether there is one, and whether the limits are within what its plan allows."""
    limits = ",".join(map(str, settings.limits))
    if settings.simulated:
        todo = "set ALPHA_VANTAGE_API_KEY, and ALPHA_VANTAGE_PLAN" if settings.environment == "production" else None
        yield Check("key", "warning" if todo else "ok", "none, so prices are simulated", todo)
        yield Check("limits", "ok", limits)
        return
    plan = env.get("ALPHA_VANTAGE_PLAN") or "free"
    yield Check("key", "ok", f"there is one, plan {plan}; not tried, for a try costs a call")
    if exceeded := [rule for rule in PLANS[plan].limits if max_calls(settings.limits, rule) > rule.calls]:
        found = f"{limits} allow more than plan {plan}: {','.join(map(str, exceeded))}"
        todo = "unset PROVIDER_LIMITS, or name the plan that was bought in ALPHA_VANTAGE_PLAN"
        yield Check("limits", "warning", found, todo)
    else:
        yield Check("limits", "ok", f"{limits}, within plan {plan}")


def max_calls(limits: tuple[Rule, ...], rule: Rule) -> float:
    """How many calls limits let through within a rule's period, at most."""
    return min(-(-rule.period // limit.period) * limit.calls for limit in limits)


def check_worker(status: StatusReport) -> Check:
    if not status.workers:
        return Check("worker", "problem", "none was seen in the last minute", START_BOTH)
    latest = span(min(worker.age_s for worker in status.workers))
    found = f"{len(status.workers)} seen, the last {latest} ago"
    return Check("worker", "ok", found) if has_worker(status) else Check("worker", "problem", found, START_BOTH)


def check_beat(beat: BeatStatus) -> Check:
    found = "never ticked" if beat.age_s is None else f"ticked {span(beat.age_s)} ago"
    return Check("beat", "ok", found) if beat.state == "ok" else Check("beat", "problem", found, START_BEAT)


def check_provider(provider: ProviderStatus, outcomes: Counter[str]) -> Check:
    """By its last answers."""
    counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    found = f"the last {outcomes.total()} calls: {counts}" if outcomes else "no call yet"
    if trouble := next(provider_trouble(provider), None):
        return Check("provider", "warning" if provider.state == "held" else "problem", found, trouble)
    if outcomes[Outcome.BAD_KEY]:
        return Check("provider", "problem", found, "the key is refused; see ALPHA_VANTAGE_API_KEY")
    if any(outcomes[outcome] for outcome in THROTTLES):
        todo = (
            "the provider counts more calls than we do: the plan is smaller than PROVIDER_LIMITS, or others use the key"
        )
        return Check("provider", "warning", found, todo)
    return Check("provider", "ok", found)


def check_disk(home: Path) -> Check:
    """Of this machine; a store elsewhere has its own."""
    folder = home if home.exists() else Path()
    disk = shutil.disk_usage(folder)
    found = f"{_bytes(disk.free)} free of {_bytes(disk.total)} at {folder.resolve()}"
    if disk.free >= DISK_WARNING:
        return Check("disk", "ok", found)
    state: Literal["problem", "warning"] = "problem" if disk.free < DISK_PROBLEM else "warning"
    return Check("disk", state, found, "make room: a full disk stops PostgreSQL")


def _bytes(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count / (1 << 20):.1f} MiB"
