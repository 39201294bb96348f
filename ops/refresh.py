"""Refresh these now: the job stands in the line before background; what is typed here queues it, wakes a worker and watches."""

import secrets
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from common.errors import InvalidSettings, StoreUnavailable
from common.operations.refreshing import JobReport, queue_all, queue_refresh
from common.process.resources import Resources
from ops.actor import actor
from ops.following import Reason, follow, read_job
from ops.progress import View, summary, symbols
from ops.stores import ask
from ops.terminal import REFUSED, AsJson, print_json, tell

Symbols = Annotated[list[str] | None, typer.Argument(metavar="SYMBOL...", help="Such as AAPL; up to 500.")]


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

    async def queue(stores: Resources) -> JobReport:
        return await _queue(stores, names or [], stale=stale, force=force)

    if not no_wait:
        _watch(queue, as_json=as_json)
        return
    report = ask(queue)
    if as_json:
        print_json(report)
    else:
        print(f"job {report.id}: {symbols(report.total)} in the line; `quotewell job {report.id}` follows it")


def job(
    number: Annotated[int, typer.Argument(metavar="JOB", help="As `quotewell refresh` has printed it.")],
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Show it as it is now.")] = False,
    as_json: AsJson = False,
) -> None:
    """Follow a refresh that was queued before, or show how it ended.

    Exits with 1 if a symbol was not refreshed.
    """

    async def look(stores: Resources) -> JobReport:
        return await read_job(stores, number)

    if not no_wait:
        _watch(look, as_json=as_json)
        return
    view = View(quiet=as_json)
    view.show(ask(look))
    _end(view)


async def _queue(stores: Resources, names: list[str], *, stale: bool, force: bool) -> JobReport:
    """The ids of the wake-up and of the job are one, so that the worker's log can be told by it."""
    from common.process.broker import open_celery, wake_worker  # Celery takes a while to import, and only this needs it

    request_id = secrets.token_hex(8)
    if names:
        report = await queue_refresh(stores, names, by=actor(), request_id=request_id, forced=force)
    else:
        report = await queue_all(stores, stale_only=stale, by=actor(), request_id=request_id, forced=force)
    await wake_worker(open_celery(stores.settings), request_id=request_id)
    return report


def _watch(begin: Callable[[Resources], Awaitable[JobReport]], *, as_json: bool) -> None:
    """Follow what `begin` gives. Whatever ends the watching, the job is there still, and it is said how to see it."""
    view = View(quiet=as_json)

    async def run(stores: Resources) -> Reason | None:
        view.seen = await begin(stores)
        with view:
            return await follow(stores, view.seen.id, view.show)

    try:
        reason = ask(run)
    except KeyboardInterrupt:
        if view.seen:
            tell(f"job {view.seen.id} goes on; `quotewell job {view.seen.id}` follows it")
        raise
    except StoreUnavailable as error:
        if view.seen is None:
            raise
        raise StoreUnavailable(f"{error}; `quotewell job {view.seen.id}` follows the job then") from error
    if reason and view.seen:
        tell(f"{reason.told}; job {view.seen.id} stays in the line, `quotewell job {view.seen.id}` follows it")
    _end(view, code=reason.code if reason else None)


def _end(view: View, code: int | None = None) -> None:
    """The whole in one line or one object. A symbol that was not refreshed is exit code 1."""
    report = view.seen
    if report is None:
        return
    if view.quiet:
        print_json(report)
    else:
        print(summary(report))
    if code or report.failed or report.expired:
        sys.exit(code or REFUSED)
