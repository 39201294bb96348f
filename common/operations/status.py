"""Are quotes fresh, and does everything run? Told though a store is away: what it would have told is null then."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from msgspec import Struct
from redis.exceptions import RedisError

from common import VERSION
from common.calls.forecasts import read_gate
from common.core.budget.holds import GATE_REASONS
from common.core.quotes.outlook import Outlook, Pause, pause
from common.errors import StoreUnavailable, StoreUnfit
from common.market_calendar import open_calendar
from common.operations.ages import Ages, look, measure
from common.operations.terms import Time
from common.process.resources import Resources
from common.store.budget import heartbeats, ledger, reports
from common.store.connection.pool import Connection, acquire

LATE = 20.0  # seconds since the last tick: one process that waits out a call of ten looks at the queue no sooner
SEEN = 60.0  # seconds that a worker is shown after its last turn

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
    """A worker process that began a turn at the line within the last minute."""

    name: str
    seen_at: Time
    age_s: float


class StatusReport(Struct, frozen=True):
    """`unhealthy`: both stores are away. `degraded`: one is, or the provider is held or fails, beat is late, or no worker was seen.

    `reason`: why no quote is refreshed now, in the words of a quote's `reason`; null: they are. Ages as in a SymbolsReport. `waiting` and
    `in_flight` count the line, `quarantined` the symbols that rest.
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


@dataclass(frozen=True, slots=True)
class _Known:
    """What PostgreSQL says."""

    reason: Pause | None
    provider: ProviderStatus
    beat: BeatStatus
    workers: list[WorkerStatus]
    ages: Ages
    waiting: int
    in_flight: int


async def report_status(resources: Resources) -> StatusReport:
    """All at one glance; a store that is away raises nothing; `StoreUnfit`."""
    known, redis = await asyncio.gather(_look(resources), _reach_redis(resources))
    ages = known.ages if known else None
    return StatusReport(
        status=_judge(known, redis=redis),
        version=VERSION,
        environment=resources.settings.environment,
        source=resources.settings.source,
        database="connected" if known else "disconnected",
        redis="connected" if redis else "disconnected",
        reason=known.reason if known else "store_down",
        provider=known.provider if known else ProviderStatus("unknown"),
        beat=known.beat if known else BeatStatus("unknown"),
        workers=known.workers if known else [],
        age_ratio=ages.ratio if ages else None,
        mean_age_s=ages.mean if ages else None,
        bound_s=ages.bound if ages else None,
        wanted=ages.totals.wanted if ages else None,
        waiting=known.waiting if known else None,
        in_flight=known.in_flight if known else None,
        quarantined=ages.totals.quarantined if ages else None,
    )


def _judge(known: _Known | None, *, redis: bool) -> Literal["healthy", "degraded", "unhealthy"]:
    if known is None:
        return "degraded" if redis else "unhealthy"
    works = known.provider.state in ("ok", "unknown") and known.beat.state == "ok" and known.workers
    return "healthy" if redis and works else "degraded"


async def _reach_redis(resources: Resources) -> bool:
    try:
        await resources.redis.ping()
    except (RedisError, OSError):
        return False
    return True


async def _look(resources: Resources) -> _Known | None:
    account = resources.budget.account
    try:
        async with acquire(resources.db) as connection:
            view = await look(connection, resources)
            ages = await measure(connection, resources, view)
            seen = await heartbeats.select_heartbeats(connection)
            gate = await reports.select_ledger(connection, account)
            answers = await reports.select_answers(connection, account)
            why = await _reason(connection, resources, view.now)
            waiting, in_flight = await reports.select_line_counts(connection, view.now)
    except StoreUnfit:
        raise
    except StoreUnavailable:
        return None
    beat = _beat(seen.pop(heartbeats.BEAT, None), view.now)
    return _Known(why, _provider(gate, answers, view.now), beat, _workers(seen, view.now), ages, waiting, in_flight)


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
    return BeatStatus("late" if age > LATE else "ok", at, age)


def _workers(seen: Mapping[str, datetime], now: datetime) -> list[WorkerStatus]:
    latest = now - timedelta(seconds=SEEN)
    return [WorkerStatus(name, at, _since(at, now)) for name, at in seen.items() if at > latest]


def _since(at: datetime, now: datetime) -> float:
    return max(0.0, (now - at).total_seconds())
