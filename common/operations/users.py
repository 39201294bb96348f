"""Users: make one, give it rights, lock it, give it another password, delete it. `user_reports.py` shows them.

Each change stands in the audit, in its own transaction, and in the log once it is committed. No password is ever written down.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from msgspec import Struct

from common.errors import Conflict, NotFound
from common.operations.personal import erase_user
from common.passwords import SCHEME, Passwords, check_policy
from common.process.resources import Resources
from common.process.settings import Settings
from common.store.accounts import keys, logins, resets, users
from common.store.accounts.audit import Act, insert_act
from common.store.accounts.users import User
from common.store.connection.pool import Connection, transaction

OPERATOR = "operator"

log = structlog.get_logger(__name__)


class UserRow(Struct, frozen=True):
    """Times are text with +00:00, as the command has always printed them."""

    id: int
    username: str
    email: str
    created_at: str
    scope: str
    locked: bool


class UserChange(UserRow, frozen=True):
    """A user after a change. No event: it was so already."""

    events: list[str]
    logins_ended: int
    keys_ended: int


@dataclass(slots=True)
class Change:
    """A change in its transaction: the user as it is by now, the events so far, and how many logins and API keys were ended."""

    connection: Connection
    settings: Settings
    user: User
    by: str
    events: list[str] = field(default_factory=list)
    logins_ended: int = 0
    keys_ended: int = 0

    async def record(self, event: str) -> None:
        """Write the act, and read the user again."""
        await insert_act(self.connection, Act(event, self.by, self.user.id))
        self.user = await users.select_user(self.connection, self.user.id) or self.user
        self.events.append(event)

    async def end_logins(self) -> None:
        """After the user's row has changed: a login in progress waits for that row, or is ended too."""
        self.logins_ended = await logins.end_logins(self.connection, self.user.id)

    async def end_keys(self) -> None:
        """As `end_logins`, for API keys and for mails that would replace the password."""
        self.keys_ended = await keys.end_keys(self.connection, self.user.id)
        await resets.end_resets(self.connection, self.user.id)


Step = Callable[[Change], Awaitable[None]]


async def create_user(
    resources: Resources, username: str, email: str, password: str, *, operator: bool, by: str
) -> UserChange:
    """Make a user. Raise `InvalidRequest` for the password, `Conflict` for a taken name."""
    check_policy(password, resources.settings, names=(username, email))
    hashed = await _hash(password, resources.settings)

    async def insert(connection: Connection) -> User:
        try:
            return await users.insert_user(connection, username, email, hashed, SCHEME)
        except Conflict as error:
            raise Conflict(f"{error}; choose another, or look at it with `quotewell user show`") from error

    async def record(change: Change) -> None:
        await change.record("user_created")
        if operator:
            await grant(change)

    return await _apply(resources, insert, record, by=by)


async def change_user(resources: Resources, name: str, step: Step, *, by: str) -> UserChange:
    """Take one of the steps below with the user of this username or email. Raise `NotFound`."""
    return await _apply(resources, lambda connection: select(connection, name), step, by=by)


async def delete_user(resources: Resources, user: int, *, by: str, request_id: str | None = None) -> UserChange:
    """Delete a user with everything that is stored about it, and end its logins. Raise `NotFound`. The audit keeps the number alone."""
    async with transaction(resources.db) as connection:
        found = await users.select_user(connection, user)
        ended = await logins.select_open_logins(connection, user)
        open_keys = len(await keys.select_keys(connection, user))

    async def record(connection: Connection) -> None:
        await insert_act(connection, Act("user_deleted", by, subject=f"user:{user}", request_id=request_id))

    if found is None or not await erase_user(resources, user, record=record):
        raise NotFound(f"there is no user {user}; expected an id that the list of users has")
    log.info("user_deleted", user=user, actor=by, logins_ended=ended, keys_ended=open_keys)
    return UserChange(**fields_of(found), events=["user_deleted"], logins_ended=ended, keys_ended=open_keys)


async def grant(change: Change) -> None:
    """Give the scope `operator`; the user's next token has it."""
    scope = set(change.user.scope.split())
    if OPERATOR not in scope:
        await users.update_scope(change.connection, change.user.id, " ".join(sorted(scope | {OPERATOR})))
        await change.record("operator_granted")


async def revoke(change: Change) -> None:
    """Take the scope away, and end all logins: their tokens still have it. API keys never had it."""
    scope = set(change.user.scope.split())
    if OPERATOR in scope:
        await users.update_scope(change.connection, change.user.id, " ".join(sorted(scope - {OPERATOR})))
        await change.end_logins()
        await change.record("operator_revoked")


async def lock(change: Change) -> None:
    """Refuse further logins, and end all open ones and all API keys, even if it was locked before."""
    was_locked = change.user.locked
    await users.update_locked(change.connection, change.user.id, locked=True)
    await change.end_logins()
    await change.end_keys()
    if change.logins_ended or change.keys_ended or not was_locked:
        await change.record("user_locked")


async def unlock(change: Change) -> None:
    if change.user.locked:
        await users.update_locked(change.connection, change.user.id, locked=False)
        await change.record("user_unlocked")


async def reset_password(change: Change, password: str) -> None:
    """Set another password, and end all logins and API keys. Raise `InvalidRequest` for the password."""
    check_policy(password, change.settings, names=(change.user.username, change.user.email))
    hashed = await _hash(password, change.settings)
    await users.update_password(change.connection, change.user.id, hashed, SCHEME)
    await change.end_logins()
    await change.end_keys()
    await change.record("password_reset")


async def _apply(
    resources: Resources, find: Callable[[Connection], Awaitable[User]], step: Step, *, by: str
) -> UserChange:
    """One transaction on the user that `find` gives; logged once it is committed."""
    async with transaction(resources.db) as connection:
        change = Change(connection, resources.settings, await find(connection), by)
        await step(change)
    for event in change.events:
        log.info(event, user=change.user.id, actor=by, logins_ended=change.logins_ended, keys_ended=change.keys_ended)
    return UserChange(
        **fields_of(change.user), events=change.events, logins_ended=change.logins_ended, keys_ended=change.keys_ended
    )


async def select(connection: Connection, name: str) -> User:
    """The user of this username or email. Raise `NotFound`."""
    user = await users.select_user_by_name(connection, name.strip())
    if user is None:
        raise NotFound(f"no account has the username or email {name!r}; `quotewell user create` makes one")
    return user


async def _hash(password: str, settings: Settings) -> str:
    passwords = Passwords(cost=settings.bcrypt_cost)
    try:
        return await passwords.hash(password)
    finally:
        passwords.close()


def fields_of(user: User) -> dict[str, Any]:
    """The fields of a `UserRow`."""
    fields = {name: getattr(user, name) for name in ("id", "username", "email", "scope", "locked")}
    return fields | {"created_at": user.created_at.isoformat()}
