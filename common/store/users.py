"""Accounts. Names and addresses are unique whatever their case; a password is here only as its hash."""

from dataclasses import dataclass, field
from datetime import datetime

import asyncpg

from common.errors import EmailTaken, UsernameTaken
from common.store.pool import Connection


@dataclass(frozen=True, slots=True)
class User:
    """An account; `scope` holds space-separated rights beyond a user's own."""

    id: int
    username: str
    email: str
    scope: str
    created_at: datetime
    password_hash: str = field(repr=False)
    password_scheme: str


async def insert_user(connection: Connection, username: str, email: str, hashed: str, scheme: str) -> User:
    """A new account; raise `UsernameTaken` or `EmailTaken`."""
    try:
        row = await connection.fetchrow(
            """
            INSERT INTO users (username, email, password_hash, password_scheme) VALUES ($1, $2, $3, $4)
            RETURNING *
            """,
            username,
            email,
            hashed,
            scheme,
        )
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == "users_email":
            raise EmailTaken("an account with this email exists already") from error
        raise UsernameTaken("an account with this username exists already") from error
    return _user(row)


async def select_user(connection: Connection, user: int) -> User | None:
    row = await connection.fetchrow("SELECT * FROM users WHERE id = $1", user)
    return _user(row) if row else None


async def select_user_by_name(connection: Connection, name: str) -> User | None:
    """By username or email, in any case."""
    row = await connection.fetchrow(
        "SELECT * FROM users WHERE lower(username) = lower($1) OR lower(email) = lower($1)", name
    )
    return _user(row) if row else None


def _user(row: asyncpg.Record) -> User:
    return User(
        row["id"],
        row["username"],
        row["email"],
        row["scope"],
        row["created_at"],
        row["password_hash"],
        row["password_scheme"],
    )
