"""Refresh jobs: the items of a job are rows beside the queue. Any process that works the queue serves them, so a job outlives each of them.

The caller wakes a worker once a function here has returned (common/process/broker.wake_worker).
"""

from collections.abc import Sequence

from msgspec import Struct, convert

from common.calls.forecasts import look_ahead
from common.core.models import CallClass, Function
from common.errors import InvalidRequest, NotFound, UnknownSymbol
from common.operations.ages import look
from common.operations.audit import record
from common.operations.symbols import spell
from common.operations.types import MAX_ID, Time
from common.process.resources import Resources
from common.store.budget import queue, refresh_jobs
from common.store.budget.refresh_jobs import Item, Job, State
from common.store.budget.tracked import select_refreshable
from common.store.connection.pool import Connection, acquire, transaction
from common.store.market.symbols import select_unknown_among

MAX_NAMED = 500  # symbols by name
MAX_ITEMS = 500  # of one report
BATCH_SIZE = 5000  # symbols that are queued under one lock


class JobItem(Struct, frozen=True):
    """One symbol of a job. `outcome`: of the call that settled it, a word of the journal; `expired`: its time in the queue is over."""

    symbol: str
    state: State
    outcome: str | None
    call: int | None
    settled_at: Time | None


class JobReport(Struct, frozen=True):
    """How far a job is. `total` = settled + waiting + under_way + expired; `failed`: those settled with another outcome than `ok`.

    `done`: nothing waits and nothing is under way. `estimate_s`: until its last one is expected to be served (0: done; null:
    nobody knows).
    `items` are in the symbols' order, at most 500; `next`: the `after` that gives those that follow, null: these were the last.
    """

    id: int
    queued_at: Time
    queued_by: str
    total: int
    settled: int
    failed: int
    waiting: int
    under_way: int
    expired: int
    done: bool
    estimate_s: float | None
    items: list[JobItem]
    next: str | None


async def queue_refresh(
    resources: Resources, symbols: Sequence[str], *, by: str, request_id: str | None = None, forced: bool = False
) -> JobReport:
    """Queue 1 to 500 symbols, in any spelling, each once. `forced`: they may take what is there, beyond the operators' share.

    Raise `InvalidRequest` for their number, `InvalidSymbol`, or `UnknownSymbol` naming those that the provider, asked within the
    hour, did not have: then nothing is queued.
    """
    async with acquire(resources.db) as connection:
        wanted = list(dict.fromkeys(await spell(connection, resources.settings.source, symbols)))
    if not 1 <= len(wanted) <= MAX_NAMED:
        raise InvalidRequest(
            f"symbols: expected 1 to {MAX_NAMED}, not {len(wanted)}; ask for more in several jobs, or for all"
        )
    async with acquire(resources.db) as connection:
        unknown = await select_unknown_among(connection, resources.budget, wanted)
    if unknown:
        named = f"{', '.join(sorted(unknown)[:5])}{', ...' if len(unknown) > 5 else ''}"
        raise UnknownSymbol(f"the provider does not have {named}; leave out what it lacks, nothing was queued")
    return await _queue(resources, wanted, by=by, request_id=request_id, forced=forced)


async def queue_all(
    resources: Resources, *, stale_only: bool, by: str, request_id: str | None = None, forced: bool = False
) -> JobReport:
    """Queue every tracked symbol that is not in quarantine, or only those whose quote is stale or lacking.

    There may be none: then the job is done at once.
    """
    async with acquire(resources.db) as connection:
        wanted = await select_refreshable(connection, await look(connection, resources), stale_only=stale_only)
    return await _queue(resources, wanted, by=by, request_id=request_id, forced=forced)


async def report_job(resources: Resources, job: int, *, after: str | None = None) -> JobReport:
    """How far it is, with the items after a symbol; raise `NotFound`."""
    async with acquire(resources.db) as connection:
        found = await refresh_jobs.select_job(connection, job) if 0 < job <= MAX_ID else None
        if found is None:
            raise NotFound(f"there is no job {job}; expected the id that queueing a refresh answered")
        items = await refresh_jobs.select_items(connection, job, after=after, most=MAX_ITEMS)
        estimate = await _estimate(connection, resources, found) if found.waiting + found.under_way else 0.0
    return _report(found, items, estimate)


async def _queue(
    resources: Resources, symbols: Sequence[str], *, by: str, request_id: str | None, forced: bool
) -> JobReport:
    """The job has all of them at once. They are queued in batches, so that a hundred thousand do not hold the ledger's lock for long; a
    worker queues what a crash has left out (worker/jobs.py)."""
    batches = [symbols[start : start + BATCH_SIZE] for start in range(0, len(symbols), BATCH_SIZE)] or [symbols]
    async with transaction(resources.db) as connection:
        await _join(connection, resources, batches[0], forced=forced)
        job = await refresh_jobs.insert_job(connection, symbols, by, request_id)
        subject = f"job {job}: {len(symbols)} symbol{'s' * (len(symbols) != 1)}"
        await record(connection, "refresh_queued", by=by, subject=subject, request_id=request_id)
    for batch in batches[1:]:
        async with transaction(resources.db) as connection:
            await _join(connection, resources, batch, forced=forced)
    return await report_job(resources, job)


async def _join(connection: Connection, resources: Resources, symbols: Sequence[str], *, forced: bool) -> None:
    """First in its transaction: the ledger's lock comes before rows, and until the commit no call for them is settled."""
    await queue.enqueue(
        connection,
        resources.budget,
        Function.QUOTE,
        symbols,
        CallClass.OPERATOR,
        ttl=refresh_jobs.JOB_TTL,
        forced=forced,
    )


async def _estimate(connection: Connection, resources: Resources, job: Job) -> float | None:
    """Until its last one is expected to be answered. Only the first thousand of a long queue count; the rest go on at their pace."""
    seen = await look_ahead(connection, resources)
    times = sorted(seen.served.values())
    if not times:
        return None
    last = (times[min(job.last_rank, len(times)) - 1] - seen.made_at).total_seconds()
    return last * max(1.0, job.last_rank / len(times))


def _report(job: Job, items: Sequence[Item], estimate: float | None) -> JobReport:
    counts = {name: getattr(job, name) for name in ("settled", "failed", "waiting", "under_way", "expired")}
    return JobReport(
        id=job.id,
        queued_at=job.queued_at,
        queued_by=job.queued_by,
        total=job.settled + job.waiting + job.under_way + job.expired,
        **counts,
        done=job.waiting + job.under_way == 0,
        estimate_s=estimate,
        items=convert(items, list[JobItem], from_attributes=True),
        next=items[-1].symbol if len(items) == MAX_ITEMS else None,
    )
