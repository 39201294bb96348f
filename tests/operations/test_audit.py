"""What was done by whom, page by page."""

import asyncpg
import pytest

from common.operations.audit import AuditReport, record, report_audit
from common.process.resources import Resources
from common.store.accounts.audit import Act, insert_act
from common.store.accounts.users import insert_user
from common.store.connection.pool import acquire, transaction


async def write(resources: Resources) -> int:
    """Three acts; the id of the account that two of them are about."""
    async with acquire(resources.db) as connection:
        user = await insert_user(connection, "ada", "ada@example.com", "hash", "scheme")
        await insert_act(connection, Act("registered", f"user:{user.id}", user.id, "127.0.0.1", request_id="r1"))
        await record(connection, "symbol_pinned", by=f"user:{user.id}", subject="IBM", request_id="r2")
        await insert_act(connection, Act("user_locked", "cli:root@host", user.id))
    return user.id


def events(report: AuditReport) -> list[str]:
    return [act.event for act in report.acts]


async def test_acts_are_told_newest_first(resources: Resources) -> None:
    user = await write(resources)
    locked, pinned, registered = (await report_audit(resources)).acts

    assert ("user_locked", "cli:root@host", user, None) == (locked.event, locked.actor, locked.user, locked.subject)
    assert ("symbol_pinned", "IBM", "r2", None) == (pinned.event, pinned.subject, pinned.request_id, pinned.user)
    assert ("registered", "127.0.0.1", user) == (registered.event, registered.address, registered.user)


async def test_acts_are_filtered(resources: Resources) -> None:
    user = await write(resources)

    assert ["symbol_pinned"] == events(await report_audit(resources, event="symbol_pinned"))
    assert ["symbol_pinned", "registered"] == events(await report_audit(resources, actor=f"user:{user}"))
    assert ["user_locked", "registered"] == events(await report_audit(resources, user=user))
    assert [] == events(await report_audit(resources, user=user, event="symbol_pinned"))


async def test_the_audit_is_read_page_by_page(resources: Resources) -> None:
    await write(resources)
    first = await report_audit(resources, most=2)
    rest = await report_audit(resources, most=2, before=first.next)

    assert (["user_locked", "symbol_pinned"], ["registered"], None) == (events(first), events(rest), rest.next)


async def fail(resources: Resources) -> None:
    async with transaction(resources.db) as connection:
        await record(connection, "symbol_pinned", by="cli:a@b", subject="IBM", request_id=None)
        await connection.execute("SELECT 1 / 0")


async def test_an_act_that_fails_is_not_written(resources: Resources) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        await fail(resources)

    assert [] == (await report_audit(resources)).acts
