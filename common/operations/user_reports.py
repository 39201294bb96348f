"""Show users: one with its last acts, or a list of them."""

from msgspec import Struct

from common.operations.users import UserRow, fields_of, select
from common.process.resources import Resources
from common.store.accounts import keys, logins, users
from common.store.accounts.audit import select_acts
from common.store.connection.pool import transaction


class UserAct(Struct, frozen=True):
    at: str
    event: str
    actor: str
    address: str | None
    subject: str | None
    request_id: str | None


class UserReport(UserRow, frozen=True):
    """`acts`: the last ones about it, newest first."""

    open_logins: int
    api_keys: int
    acts: list[UserAct]


class ListedUser(UserRow, frozen=True):
    """`seen_at`: to the hour. `symbols`: how many are on the watchlist."""

    seen_at: str
    symbols: int
    open_logins: int


class UsersReport(Struct, frozen=True):
    """In the order of their ids. `total`: all users, whatever was asked for. `next`: the `after` that gives further ones; null: none."""

    users: list[ListedUser]
    total: int
    next: int | None


async def report_user(resources: Resources, name: str, *, most: int) -> UserReport:
    """Raise `NotFound`."""
    async with transaction(resources.db) as connection:
        user = await select(connection, name)
        open_logins = await logins.select_open_logins(connection, user.id)
        open_keys = await keys.select_keys(connection, user.id)
        entries = await select_acts(connection, user=user.id, most=most)
    acts = [
        UserAct(
            entry.at.isoformat(),
            entry.act.event,
            entry.act.actor,
            entry.act.address,
            entry.act.subject,
            entry.act.request_id,
        )
        for entry in entries
    ]
    return UserReport(**fields_of(user), open_logins=open_logins, api_keys=len(open_keys), acts=acts)


async def report_users(resources: Resources, *, begins: str = "", after: int = 0, most: int = 100) -> UsersReport:
    """Up to `most` users whose username or email begins so, in any case."""
    async with transaction(resources.db) as connection:
        rows = await users.select_users(connection, begins=begins, after=after, most=most)
        total = await users.select_count(connection)
    listed = [
        ListedUser(**{**row, "created_at": row["created_at"].isoformat(), "seen_at": row["seen_at"].isoformat()})
        for row in rows
    ]
    return UsersReport(listed, total, listed[-1].id if len(listed) == most else None)
