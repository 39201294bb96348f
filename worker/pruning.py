"""The hourly job: delete what is older than the settings allow, and quotes of untracked symbols. It may run twice at once, or be killed.

Large tables are pruned in batches, each in its own transaction, so that grants and readers never wait long for one.
"""

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol

import structlog
from redis.exceptions import RedisError

from common.errors import StoreUnavailable
from common.process.resources import Resources
from common.process.settings import MAX_ACCESS_TTL
from common.store.accounts import audit, keys, logins, outbox, resets, tickets, users
from common.store.budget import heartbeats, ledger, refresh_jobs
from common.store.connection.pool import Connection, transaction
from common.store.market import bars, feed, history, quotes, searches, symbols

log = structlog.get_logger(__name__)

BATCH = 10_000  # rows
QUOTE_BATCH = 500  # quotes; their keys in Redis are deleted too
STEP_LIMIT = 15.0  # seconds; the next hour goes on. All steps together fit a task's two minutes
THINNED_AFTER = timedelta(days=7)
MAIL_KEPT = timedelta(hours=1)  # after it expired; so workers log it first
HEARTBEAT_KEPT = HOST_KEPT = CREDIT_KEPT = timedelta(days=1)

Step = Callable[[Connection], Awaitable[tuple[int, bool]]]  # the number of rows deleted, and whether there may be more


class _Forget(Protocol):
    async def __call__(self, connection: Connection, *, keep: timedelta) -> int: ...


class _ForgetSome(Protocol):
    async def __call__(self, connection: Connection, *, keep: timedelta, most: int) -> int: ...


async def prune(resources: Resources, *, stopping: Callable[[], bool], **_: object) -> None:
    """Run every step. A step that fails is logged as None and does not stop the others."""
    deleted = dict[str, int | None]()
    for name, step in _steps(resources).items():
        try:
            deleted[name] = await _repeat(resources, step, stopping)
        except (StoreUnavailable, RedisError, OSError):
            deleted[name] = None
    log.info("pruned", **deleted)


async def _repeat(resources: Resources, step: Step, stopping: Callable[[], bool]) -> int:
    """Run a step batch by batch until nothing is left or its time is up; return the number of rows deleted."""
    until, total, more = time.monotonic() + STEP_LIMIT, 0, True
    while more and time.monotonic() < until and not stopping():
        async with transaction(resources.db) as connection:
            gone, more = await step(connection)
        total += gone
    return total


def _steps(resources: Resources) -> dict[str, Step]:
    settings = resources.settings
    kept = settings.journal_kept
    return {
        "calls": _batches(ledger.delete_old_calls, kept),
        "history": _batches(history.delete_old_history, settings.history_kept),
        "thinned": _thin,
        "quotes": _unwanted(resources),
        "symbols": _at_once(symbols.delete_forgotten, kept),
        "credits": _at_once(symbols.delete_old_credits, CREDIT_KEPT),
        "sleepers": _batches(users.update_asleep, users.SLEEPS_AFTER),
        "charts": _at_once(bars.delete_old_bars, kept),
        "searches": _at_once(searches.delete_old_searches, kept),
        "tickets": _at_once(tickets.delete_old_tickets, HOST_KEPT),
        "logins": _at_once(logins.delete_old_logins, 2 * MAX_ACCESS_TTL),
        "api_keys": _at_once(keys.delete_old_keys, 2 * MAX_ACCESS_TTL),
        "mail": _at_once(outbox.delete_expired_mail, MAIL_KEPT),
        "resets": _at_once(resets.delete_old_resets, resets.RESET_TTL),
        "acts": _at_once(audit.delete_old_acts, settings.audit_kept),
        "jobs": _at_once(refresh_jobs.delete_old_jobs, max(kept, 2 * refresh_jobs.JOB_TTL)),
        "pulses": _at_once(heartbeats.delete_old_heartbeats, HEARTBEAT_KEPT),
    }


def _at_once(forget: _Forget, keep: timedelta) -> Step:
    async def step(connection: Connection) -> tuple[int, bool]:
        return await forget(connection, keep=keep), False

    return step


def _batches(forget: _ForgetSome, keep: timedelta) -> Step:
    async def step(connection: Connection) -> tuple[int, bool]:
        gone = await forget(connection, keep=keep, most=BATCH)
        return gone, gone == BATCH

    return step


async def _thin(connection: Connection) -> tuple[int, bool]:
    batch = await history.thin_history(connection, age=THINNED_AFTER, most=BATCH)
    return batch.deleted, batch.read >= BATCH


def _unwanted(resources: Resources) -> Step:
    """Delete quotes of untracked symbols, with their keys in Redis. Their history is pruned by its own age.

    The keys are deleted before the commit: if Redis is down, the rows stay until the next hour. A process that publishes such a quote at
    the same time waits for its row, and deletes the key once the row is gone (common/calls/publish.py).
    """
    settings = resources.settings

    async def step(connection: Connection) -> tuple[int, bool]:
        gone = await quotes.delete_unwanted(
            connection, keep=settings.history_kept, half_life=settings.reads_half_life, most=QUOTE_BATCH
        )
        await symbols.update_unquoted(connection, [quote.symbol for quote in gone])
        await feed.forget(resources.redis, gone)
        return len(gone), len(gone) == QUOTE_BATCH

    return step
