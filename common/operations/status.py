"""Are quotes fresh, and does everything run? While a store is away, what it would have told is null."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from msgspec import Struct, structs
from redis.exceptions import RedisError

from common import VERSION
from common.calls.forecasts import read_gate
from common.core.budget.holds import GATE_REASONS
from common.core.quotes.outlook import Outlook, Pause, pause
from common.errors import StoreBusy, StoreUnavailable, StoreUnfit
from common.market_calendar import open_calendar
from common.operations.ages import look, measure
from common.operations.types import Time
from common.process.resources import Resources
from common.store.budget import heartbeats, ledger, reports
from common.store.connection.pool import Connection, acquire

BEAT_TIMEOUT = (
    20.0  # seconds since the last tick: a process that waits ten seconds for one call looks at the queue no sooner
)
WORKER_TTL = 60.0  # seconds that a worker is shown after its last turn

Word = Literal["connected", "disconnected"]


class ProviderStatus(Struct, frozen=True):
    """`held`: no call goes until then, for `reason`. `failing`: it does not answer, or refuses the key; a probe goes at `until`. `unknown`:
    no call was ever answered, or the journal cannot be read."""

    state: Literal["ok", "held", "failing", "unknown"]
    reason: str | None = None
    until: Time | None = None
    last_ok_at: Time | None = None


class BeatStatus(Struct, frozen=True):
    """The last tick that a worker worked; `late`: more than twenty seconds ago."""

    state: Literal["ok", "late", "never", "unknown"]
    last_tick_at: Time | None = None
    age_s: float | None = None


class WorkerStatus(Struct, frozen=True):
    """A worker process that began to work the queue within the last minute."""

    name: str
    seen_at: Time
    age_s: float


class StatusReport(Struct, frozen=True):
    """`unhealthy`: both stores are away. `degraded`: one is, or the provider is held or fails, beat is late, or no worker was seen.

    `reason`: why no quote is refreshed now, in the words of a quote's `reason`; null: they are. Ages as in a SymbolsReport. `waiting` and
    `in_flight` count the queue, `quarantined` the symbols that rest.
    """

    status: Literal["healthy", "degraded", "unhealthy"]
    version: str
    environment: str
    source: str
    database: Word
    redis: Word
    reason: Pause | None
    provider: ProviderStatus
    beat: BeatStatus
    workers: list[WorkerStatus]
    age_ratio: float | None
    mean_age_s: float | None
    bound_s: float | None
    wanted: int | None
    waiting: int | None
    in_flight: int | None
    quarantined: int | None


class _Stored(Struct, frozen=True):
    """What PostgreSQL knows of a StatusReport."""

    database: Word
    reason: Pause | None
    provider: ProviderStatus
    beat: BeatStatus
    workers: list[WorkerStatus]
    age_ratio: float | None = None
    mean_age_s: float | None = None
    bound_s: float | None = None
    wanted: int | None = None
    waiting: int | None = None
    in_flight: int | None = None
    quarantined: int | None = None


AWAY = _Stored("disconnected", "store_down", ProviderStatus("unknown"), BeatStatus("unknown"), [])


async def report_status(resources: Resources) -> StatusReport:
    """All at one glance; a store that is away raises nothing; `StoreUnfit`."""
    stored, redis = await asyncio.gather(_look(resources), _reach_redis(resources))
    return StatusReport(
        status=_judge(stored, redis),
        version=VERSION,
        environment=resources.settings.environment,
        source=resources.settings.source,
        redis=redis,
        **structs.asdict(stored),
    )


def _judge(stored: _Stored, redis: Word) -> Literal["healthy", "degraded", "unhealthy"]:
    if stored.database == redis == "disconnected":
        return "unhealthy"
    works = stored.provider.state in ("ok", "unknown") and stored.beat.state == "ok" and stored.workers
    return "healthy" if stored.database == redis == "connected" and works else "degraded"


async def _reach_redis(resources: Resources) -> Word:
    try:
        await resources.redis.ping()
    except (RedisError, OSError):
        return "disconnected"
    return "connected"


async def _look(resources: Resources) -> _Stored:
    account = resources.budget.account
    try:
        async with acquire(resources.db) as connection:
            view = await look(connection, resources)
            ages = await measure(connection, resources, view)
            seen = await heartbeats.select_heartbeats(connection)
            gate = await reports.select_ledger(connection, account)
            answers = await reports.select_answers(connection, account)
            reason = await _reason(connection, resources, view.now)
            waiting, in_flight = await reports.select_line_counts(connection, view.now)
    except StoreUnfit:
        raise
    except StoreBusy:
        return structs.replace(AWAY, database="connected", reason=None)
    except StoreUnavailable:
        return AWAY
    return _Stored(
        database="connected",
        reason=reason,
        provider=_provider(gate, answers, view.now),
        beat=_beat(seen.pop(heartbeats.BEAT, None), view.now),
        workers=_workers(seen, view.now),
        age_ratio=ages.ratio,
        mean_age_s=ages.mean,
        bound_s=ages.bound,
        wanted=ages.totals.wanted,
        waiting=waiting,
        in_flight=in_flight,
        quarantined=ages.totals.quarantined,
    )


async def _reason(connection: Connection, resources: Resources, now: datetime) -> Pause | None:
    outlook = Outlook(
        await read_gate(connection, resources), await ledger.select_quota_left(connection, resources.budget)
    )
    return pause(outlook, open_calendar(resources.settings.market_hours, now), now)


def _provider(gate: Mapping[str, Any], answers: Mapping[str, Any], now: datetime) -> ProviderStatus:
    """A hold first: it says why nothing is asked. One that the provider's failures made says that it fails."""
    last_ok = answers["last_ok_at"]
    if (until := gate["held_until"]) is not None and until > now:
        return ProviderStatus(
            "failing" if gate["held_for"] in GATE_REASONS else "held", gate["held_for"], until, last_ok
        )
    if answers["fails"]:
        return ProviderStatus("failing", answers["last_outcome"], None, last_ok)
    return ProviderStatus("unknown" if answers["last_outcome"] is None else "ok", None, None, last_ok)


def _beat(at: datetime | None, now: datetime) -> BeatStatus:
    if at is None:
        return BeatStatus("never")
    age = _since(at, now)
    return BeatStatus("late" if age > BEAT_TIMEOUT else "ok", at, age)


def _workers(seen: Mapping[str, datetime], now: datetime) -> list[WorkerStatus]:
    latest = now - timedelta(seconds=WORKER_TTL)
    return [WorkerStatus(name, at, _since(at, now)) for name, at in seen.items() if at > latest]


def _since(at: datetime, now: datetime) -> float:
    return max(0.0, (now - at).total_seconds())
