"""What an operator changes at an account. Each change stands in the audit, in its own transaction, and in the log once it is done.

It knows no terminal and no argument. No password and no name that was only tried is ever written down.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from common.errors import Conflict, InvalidSettings, NotFound
from common.passwords import SCHEME, Passwords, check_policy
from common.process.settings import Settings
from common.store.accounts.audit import Act, Entry, insert_act, select_acts
from common.store.accounts.logins import end_logins, select_open_logins
from common.store.accounts.users import (
    User,
    insert_user,
    select_user,
    select_user_by_name,
    update_locked,
    update_password,
    update_scope,
)
from common.store.connection.pool import Connection, transaction
from ops.actor import actor
from ops.stores import open_stores

OPERATOR = "operator"
USERNAME = re.compile(r"[A-Za-z0-9_.-]{3,32}")
EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,190}")

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Change:
    """A change under way: the account as it is by now, the events so far, and how many logins were ended."""

    held: Connection
    settings: Settings
    user: User
    events: list[str] = field(default_factory=list)
    ended: int = 0

    async def note(self, event: str) -> None:
        """Write the act, and look at the account again."""
        await insert_act(self.held, Act(event, actor(), self.user.id))
        self.user = await select_user(self.held, self.user.id) or self.user
        self.events.append(event)


@dataclass(frozen=True, slots=True)
class Sight:
    """An account as an operator sees it; `acts` are the last ones about it, newest first."""

    user: User
    open_logins: int
    acts: list[Entry]


def check_names(username: str, email: str) -> None:
    """Refuse what a registration over HTTP would refuse too."""
    if not USERNAME.fullmatch(username):
        raise InvalidSettings(f"NAME: expected 3 to 32 letters, digits, dots, dashes or underscores, not {username!r}")
    if not EMAIL.fullmatch(email):
        raise InvalidSettings(f"EMAIL: expected an address such as ada@example.com, not {email!r}")


async def create(username: str, email: str, password: str, *, operator: bool) -> Change:
    """A new account; raise `InvalidRequest` for the password, `Conflict` for a taken name."""
    async with open_stores() as resources:
        check_policy(password, resources.settings, names=(username, email))
        hashed = await _hash(password, resources.settings)
        async with transaction(resources.db) as connection:
            change = Change(connection, resources.settings, await _insert(connection, username, email, hashed))
            await change.note("user_created")
            if operator:
                await update_scope(connection, change.user.id, OPERATOR)
                await change.note("operator_granted")
        return _logged(change)


async def grant(name: str) -> Change:
    """Give the scope `operator`; the account's next token has it."""
    async with _changed(name) as change:
        scope = set(change.user.scope.split())
        if OPERATOR not in scope:
            await update_scope(change.held, change.user.id, " ".join(sorted(scope | {OPERATOR})))
            await change.note("operator_granted")
    return change


async def revoke(name: str) -> Change:
    """Take the scope away, and end all logins: their tokens still say it."""
    async with _changed(name) as change:
        scope = set(change.user.scope.split())
        if OPERATOR in scope:
            await update_scope(change.held, change.user.id, " ".join(sorted(scope - {OPERATOR})))
            change.ended = await end_logins(change.held, change.user.id)
            await change.note("operator_revoked")
    return change


async def lock(name: str) -> Change:
    """Nobody logs in to it any more, and all its logins end, also if it was locked before."""
    async with _changed(name) as change:
        was_locked = change.user.locked
        await update_locked(change.held, change.user.id, locked=True)
        change.ended = await end_logins(change.held, change.user.id)
        if change.ended or not was_locked:
            await change.note("user_locked")
    return change


async def unlock(name: str) -> Change:
    async with _changed(name) as change:
        if change.user.locked:
            await update_locked(change.held, change.user.id, locked=False)
            await change.note("user_unlocked")
    return change


async def reset(name: str, password: str) -> Change:
    """Another password, and the end of all logins; raise `InvalidRequest` for the password."""
    async with _changed(name) as change:
        check_policy(password, change.settings, names=(change.user.username, change.user.email))
        hashed = await _hash(password, change.settings)
        await update_password(change.held, change.user.id, hashed, SCHEME)
        change.ended = await end_logins(change.held, change.user.id)
        await change.note("password_reset")
    return change


async def look_at(name: str, *, most: int) -> Sight:
    async with open_stores() as resources, transaction(resources.db) as connection:
        user = await _select(connection, name)
        return Sight(
            user, await select_open_logins(connection, user.id), await select_acts(connection, user=user.id, most=most)
        )


@asynccontextmanager
async def _changed(name: str) -> AsyncIterator[Change]:
    """A transaction on an account that is there; logged when it is committed.

    In it the account's row changes first and its logins end after: a login under way waits for the row, or is ended too.
    """
    async with open_stores() as resources:
        async with transaction(resources.db) as connection:
            change = Change(connection, resources.settings, await _select(connection, name))
            yield change
        _logged(change)


async def _select(connection: Connection, name: str) -> User:
    user = await select_user_by_name(connection, name.strip())
    if user is None:
        raise NotFound(f"no account has the username or email {name!r}; `quotewell user create` makes one")
    return user


async def _insert(connection: Connection, username: str, email: str, hashed: str) -> User:
    try:
        return await insert_user(connection, username, email, hashed, SCHEME)
    except Conflict as error:
        raise Conflict(f"{error}; choose another, or look at it with `quotewell user show`") from error


async def _hash(password: str, settings: Settings) -> str:
    passwords = Passwords(cost=settings.bcrypt_cost)
    try:
        return await passwords.hash(password)
    finally:
        passwords.close()


def _logged(change: Change) -> Change:
    for event in change.events:
        log.info(event, user=change.user.id, actor=actor(), logins_ended=change.ended)
    return change
