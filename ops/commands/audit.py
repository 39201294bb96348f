"""Who did what: registrations, logins and failures, operators' acts."""

from collections.abc import Iterator
from typing import Annotated

import typer

from common.operations.audit import MAX_ACTS, AuditReport, report_audit
from common.operations.types import MAX_ID
from ops.arguments import AsJson
from ops.render import Block, Column, render, table
from ops.stores import call

COLUMNS = (
    Column("at"),
    Column("event"),
    Column("actor", "by"),
    Column("subject", "about", spare=1),
    Column("user", "account", spare=2, right=True),
    Column("address", spare=3),
    Column("request_id", "request", spare=4),
)


def audit(
    event: Annotated[str | None, typer.Option("--event", help="Only this, such as logged_in.")] = None,
    actor: Annotated[str | None, typer.Option("--by", help="Only of user:ID, cli:NAME@HOST, or anybody.")] = None,
    user: Annotated[
        int | None, typer.Option("--account", min=1, max=MAX_ID, help="Only about the account of this number.")
    ] = None,
    before: Annotated[
        int | None, typer.Option("--before", min=1, max=MAX_ID, help="Only those before the act of this number.")
    ] = None,
    most: Annotated[int, typer.Option("--most", min=1, max=MAX_ACTS, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Who did what, newest last."""
    report = call(
        lambda resources: report_audit(resources, event=event, actor=actor, user=user, before=before, most=most)
    )
    render(report, _show, as_json=as_json)


def _show(report: AuditReport) -> Iterator[Block]:
    yield table(COLUMNS, reversed(report.acts)) if report.acts else "no act"
    if report.next is not None:
        yield f"\nolder ones: --before {report.next}"
