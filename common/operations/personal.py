"""Everything that is stored about one user: give it out, or delete it."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from msgspec import Struct

from common.operations.types import Time
from common.process.resources import Resources
from common.store.accounts import personal, users
from common.store.budget.ledger import lock_ledger
from common.store.connection.pool import Connection, acquire, transaction

BATCH = 2_000  # rows of one statement

Rows = list[dict[str, Any]]


class Export(Struct, frozen=True):
    """All that is stored about a user, as rows of the tables. Left out: the hashes of the password, tokens, tickets and keys.

    `account`: the user. `acts`: the audit, of what the user did and what was done to the account. `calls`: the requests to the provider
    that were made for the user. `queued`: those that wait. `credits`: unlisted symbols that were asked for. `mail`: what is still to be
    sent. `refresh_jobs`: what the user ordered as an operator.
    """

    exported_at: Time
    account: dict[str, Any]
    watchlist: Rows
    logins: Rows
    refresh_tokens: Rows
    tickets: Rows
    api_keys: Rows
    resets: Rows
    mail: Rows
    queued: Rows
    credits: Rows
    refresh_jobs: Rows
    calls: Rows
    acts: Rows


async def export_user(resources: Resources, user: int, *, now: datetime) -> Export | None:
    """None if there is no such user."""
    async with acquire(resources.db) as connection:
        account = await personal.select_account(connection, user)
        if account is None:
            return None
        parts = {part: await personal.select_part(connection, part, user) for part in personal.PARTS}
        for part in personal.LONG_PARTS:
            parts[part] = await _select_all(connection, part, user)
    return Export(exported_at=now, account=account, **parts)


async def erase_user(resources: Resources, user: int, *, record: Callable[[Connection], Awaitable[None]]) -> bool:
    """Delete a user with all of this, and end its logins; return whether there was one. `record` writes the act, in the same transaction.

    The journal may hold very many of the user's calls, so most are made nobody's beforehand. If this stops midway, the user is still there.
    """
    forgotten = BATCH
    while forgotten == BATCH:
        async with transaction(resources.db) as connection:
            forgotten = await personal.forget_calls(connection, user, most=BATCH)
    async with transaction(resources.db) as connection:
        await lock_ledger(connection)
        deleted = await users.delete_user(connection, user)
        if deleted:
            await record(connection)
    return deleted


async def _select_all(connection: Connection, part: str, user: int) -> Rows:
    rows: Rows = []
    page = await personal.select_page(connection, part, user, after=0, most=BATCH)
    while page:
        rows += page
        page = (
            await personal.select_page(connection, part, user, after=page[-1]["id"], most=BATCH)
            if len(page) == BATCH
            else []
        )
    return rows
