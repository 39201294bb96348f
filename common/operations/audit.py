"""The audit: record an operator's act in the transaction that does it and in the log, and report all acts."""

import structlog
from msgspec import Struct

from common.operations.types import Time
from common.process.resources import Resources
from common.store.accounts.audit import Act, insert_act
from common.store.budget import reports
from common.store.connection.pool import Connection, acquire

MAX_ACTS = 500

log = structlog.get_logger(__name__)


class ActRow(Struct, frozen=True):
    """`actor`: `user:<id>`, `cli:<name>@<host>` or `anybody`. `user`: whom it is about; `subject`: what else it is about."""

    id: int
    at: Time
    event: str
    actor: str
    user: int | None
    address: str | None
    subject: str | None
    request_id: str | None


class AuditReport(Struct, frozen=True):
    """Newest first. `next`: the `before` that gives the older ones; null: there are none."""

    acts: list[ActRow]
    next: int | None


async def record(connection: Connection, event: str, *, by: str, subject: str | None, request_id: str | None) -> None:
    """Record an act, in the transaction that does it."""
    await insert_act(connection, Act(event, by, subject=subject, request_id=request_id))
    log.info(event, actor=by, subject=subject)


async def report_audit(
    resources: Resources,
    *,
    event: str | None = None,
    actor: str | None = None,
    user: int | None = None,
    before: int | None = None,
    most: int = 50,
) -> AuditReport:
    """The last acts, 1 to 500: all, or those of one event, one actor, about one user."""
    async with acquire(resources.db) as connection:
        rows = await reports.select_audit(connection, event=event, actor=actor, user=user, before=before, most=most)
    acts = [ActRow(**{"user" if name == "user_id" else name: value for name, value in row.items()}) for row in rows]
    return AuditReport(acts, acts[-1].id if len(acts) == most else None)
