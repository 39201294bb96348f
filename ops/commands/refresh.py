"""Refresh symbols now: queue a job ahead of background, wake a worker, and follow the job to its end.

The job is in the database and needs no follower: it goes on when this process ends.
"""

import asyncio
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

import msgspec
import typer

from common.errors import InvalidSettings, StoreUnavailable
from common.operations.budget import report_budget
from common.operations.refresh_jobs import JobReport, queue_all, queue_refresh, report_job
from common.operations.status import report_status
from common.process.resources import Resources
from ops.arguments import AsJson, actor
from ops.commands.job_view import JobView, count_symbols, summarize
from ops.commands.status import NO_WORKER, has_worker
from ops.render import AWAY, DONE, REFUSED, render, warn, when
from ops.stores import call

POLL_INTERVAL = 0.4  # seconds
STALL_TIMEOUT = 8.0  # seconds without a change, after which we look for the reason
STORE_TIMEOUT = 15.0  # seconds that a store may be away
Symbols = Annotated[list[str] | None, typer.Argument(metavar="SYMBOL...", help="Such as AAPL; up to 500.")]


@dataclass(frozen=True, slots=True)
class Stall:
    """Why nothing moves, with what to do, and the exit code for it; DONE: the job only has to wait."""

    code: int
    reason: str


def refresh(
    names: Symbols = None,
    watched: Annotated[bool, typer.Option("--watched", help="All that are watched, read or pinned.")] = False,
    stale: Annotated[bool, typer.Option("--stale", help="Those of them whose quote is stale or lacking.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Take what is there, beyond the operators' share.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not follow it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Refresh symbols now, before background does.

    All that people and operators ask for has at most half of a day's quota, and four fifths of a minute; --force takes more.

    The job stands in the database: it goes on whatever becomes of this command, of a worker or of Redis.

    Exits with 1 if a symbol was not refreshed.
    """
    if sum((bool(names), watched, stale)) != 1:
        raise InvalidSettings("SYMBOL...: expected symbols, or --watched, or --stale: one of the three")

    async def queue(resources: Resources) -> JobReport:
        return await _queue(resources, names or [], stale=stale, force=force)

    if no_wait:
        render(call(queue), _queued, as_json=as_json)
    else:
        _watch(queue, as_json=as_json)


def job(
    number: Annotated[int, typer.Argument(metavar="JOB", help="As `quotewell refresh` has printed it.")],
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Show it as it is now.")] = False,
    as_json: AsJson = False,
) -> None:
    """Follow a refresh that was queued before, or show how it ended.

    Exits with 1 if a symbol was not refreshed.
    """

    async def read(resources: Resources) -> JobReport:
        return await _read_job(resources, number)

    if no_wait:
        view = JobView(quiet=as_json)
        view.show(call(read))
        _end(view)
    else:
        _watch(read, as_json=as_json)


async def _queue(resources: Resources, names: list[str], *, stale: bool, force: bool) -> JobReport:
    """The wake-up has the id of the job's request, by which the worker's log is searched."""
    from common.process.broker import open_celery, wake_worker  # Celery takes a while to import, and only this needs it

    request_id = secrets.token_hex(8)
    if names:
        report = await queue_refresh(resources, names, by=actor(), request_id=request_id, forced=force)
    else:
        report = await queue_all(resources, stale_only=stale, by=actor(), request_id=request_id, forced=force)
    await wake_worker(open_celery(resources.settings), request_id=request_id)
    return report


def _watch(begin: Callable[[Resources], Awaitable[JobReport]], *, as_json: bool) -> None:
    """Follow what `begin` gives. Whatever ends the watching, the job is still there: say how to see it."""
    view = JobView(quiet=as_json)

    async def run(resources: Resources) -> Stall | None:
        view.seen = await begin(resources)
        try:
            return await follow(resources, view.seen.id, view.follow)
        finally:
            view.bar.stop()

    try:
        stall = call(run)
    except KeyboardInterrupt:
        if view.seen:
            warn(f"job {view.seen.id} goes on; {_how_to_follow(view.seen)}")
        raise
    except StoreUnavailable as error:
        if view.seen is None:
            raise
        raise StoreUnavailable(f"{error}; `quotewell job {view.seen.id}` follows the job then") from error
    if stall and view.seen:
        warn(f"{stall.reason}; job {view.seen.id} stays in the line, {_how_to_follow(view.seen)}")
    _end(view, stall.code if stall else None)


def _end(view: JobView, code: int | None = None) -> None:
    """The whole in one line or one object. A symbol that was not refreshed is exit code 1."""
    if view.seen is None:
        return
    report = render(view.seen, summarize, as_json=view.quiet)
    if code or report.failed or report.expired:
        sys.exit(code or REFUSED)


async def follow(
    resources: Resources,
    job: int,
    show: Callable[[JobReport], None],
    *,
    stall_timeout: float = STALL_TIMEOUT,
    store_timeout: float = STORE_TIMEOUT,
) -> Stall | None:
    """Until the job is done (None), or until there is a reason not to wait. A hold is no reason: it is told once.

    Raise `NotFound`, or `StoreUnavailable` after `store_timeout` seconds of it.
    """
    counts, changed_at, answered_at, warned = (-1, 0, 0), time.monotonic(), time.monotonic(), False
    while True:
        try:
            report = await _read_job(resources, job)
            show(report)
            if report.done:
                return None
            answered_at = time.monotonic()
            if counts != (latest := (report.settled, report.under_way, report.expired)):
                counts, changed_at = latest, answered_at
            elif answered_at > changed_at + stall_timeout:
                changed_at = answered_at
                stall = await _find_stall(resources)
                if stall and stall.code:
                    return stall
                if stall and not warned:
                    warn(stall.reason)
                    warned = True
        except StoreUnavailable:
            if time.monotonic() > answered_at + store_timeout:
                raise
        await asyncio.sleep(POLL_INTERVAL)


async def _read_job(resources: Resources, job: int) -> JobReport:
    """With all its items, page by page."""
    report = await report_job(resources, job)
    items, after = report.items, report.next
    while after is not None:
        more = await report_job(resources, job, after=after)
        items, after = items + more.items, more.next
    return msgspec.structs.replace(report, items=items, next=None)


async def _find_stall(resources: Resources) -> Stall | None:
    """None: the job waits for a slot of the budget, or a worker has only just taken it."""
    status = await report_status(resources)
    if status.redis == "disconnected":
        reason = "Redis does not answer, so no worker is woken; see that it runs, and that REDIS_URL leads to it"
        return Stall(AWAY, reason)
    budget = await report_budget(resources)
    if budget.held_until:
        until = when(budget.held_until)
        return Stall(DONE, f"no call goes before {until} ({budget.held_for}); Ctrl-C leaves the job in the line")
    if budget.next_free_at is None and not has_worker(status):
        return Stall(REFUSED, NO_WORKER)
    return None


def _queued(report: JobReport) -> str:
    return f"job {report.id}: {count_symbols(report.total)} in the line; {_how_to_follow(report)}"


def _how_to_follow(report: JobReport) -> str:
    return f"`quotewell job {report.id}` follows it"
