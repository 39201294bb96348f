"""Who did what: registrations, logins and failures, operators' acts."""

from typing import Annotated

import typer

from common.operations.acts import MOST_ACTS, ActRow, report_acts
from common.operations.terms import HIGHEST_ID
from ops.stores import ask
from ops.terminal import AsJson, Cell, Column, open_console, print_json, print_table, when

COLUMNS = (
    Column("at"),
    Column("event"),
    Column("by"),
    Column("about", spare=1),
    Column("account", spare=2, right=True),
    Column("address", spare=3),
    Column("request", spare=4),
)


def audit(
    event: Annotated[str | None, typer.Option("--event", help="Only this, such as logged_in.")] = None,
    actor: Annotated[str | None, typer.Option("--by", help="Only of user:ID, cli:NAME@HOST, or anybody.")] = None,
    user: Annotated[
        int | None, typer.Option("--account", min=1, max=HIGHEST_ID, help="Only about the account of this number.")
    ] = None,
    before: Annotated[
        int | None, typer.Option("--before", min=1, max=HIGHEST_ID, help="Only those before the act of this number.")
    ] = None,
    most: Annotated[int, typer.Option("--most", min=1, max=MOST_ACTS, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Who did what, newest last."""
    report = ask(lambda stores: report_acts(stores, event=event, actor=actor, user=user, before=before, most=most))
    if as_json:
        print_json(report)
        return
    if report.acts:
        print_table(open_console(), COLUMNS, [_row(act) for act in reversed(report.acts)])
    else:
        print("no act")
    if report.next is not None:
        print(f"\nolder ones: --before {report.next}")


def _row(act: ActRow) -> list[Cell]:
    account = "-" if act.user is None else str(act.user)
    return [when(act.at), act.event, act.actor, act.subject or "-", account, act.address or "-", act.request_id or "-"]
