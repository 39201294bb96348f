"""Tickets for private streams: their hashes, who used them, and the processes that serve their streams.

A ticket is good for its first use until it expires, and after that for the reconnects of its one stream: from the network of the first
use, soon after the stream ended.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from common.store.accounts.logins import Login
from common.store.connection.pool import Connection, affected


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket in use: the login that it stands for, and the number of its stream."""

    hashed: bytes
    login: Login
    stream: int


@dataclass(frozen=True, slots=True)
class Rule:
    """How long a ticket lives from its first use, how soon after a stream's end its reconnect must come, after what time without a sign a
    process is dead, and how long a login lasts."""

    lives: timedelta
    reconnects: timedelta
    dead_after: timedelta
    login_lasts: timedelta


async def insert_ticket(connection: Connection, login: int, hashed: bytes, lasts: timedelta) -> None:
    """`lasts`: how long its first use may wait."""
    await connection.execute(
        "INSERT INTO tickets (hash, login_id, expires_at) VALUES ($1, $2, now() + $3::interval)", hashed, login, lasts
    )


async def take_ticket(connection: Connection, hashed: bytes, *, network: str, host: str, rule: Rule) -> Ticket | None:
    """Take a ticket for a new stream of a process, the `host`; None if there is no such ticket, or it is not good for this client now.

    Of two concurrent uses the second waits for the first to commit, and then finds the stream open.
    """
    row = await connection.fetchrow(
        """
        UPDATE tickets SET stream = stream + 1, network = $2, host = $3, left_at = NULL,
            expires_at = CASE stream WHEN 0 THEN now() + $4::interval ELSE expires_at END
        FROM logins
        WHERE hash = $1 AND expires_at > now()
            AND logins.id = login_id AND ended_at IS NULL AND opened_at > now() - $7::interval
            AND (stream = 0 OR network = $2 AND (
                left_at > clock_timestamp() - $5::interval
                OR left_at IS NULL AND EXISTS (
                    SELECT FROM stream_hosts WHERE stream_hosts.id = host
                        AND seen_at > clock_timestamp() - $5::interval AND seen_at < clock_timestamp() - $6::interval
                )
            ))
        RETURNING logins.id, user_id, opened_at + $7::interval AS ends_at, stream
        """,
        hashed,
        network,
        host,
        rule.lives,
        rule.reconnects,
        rule.dead_after,
        rule.login_lasts,
    )
    return Ticket(hashed, Login(row["id"], row["user_id"], row["ends_at"]), row["stream"]) if row else None


async def select_may_be_left(connection: Connection, hashed: bytes, *, network: str, rule: Rule) -> bool:
    """Whether a ticket that was just refused may soon be good for a reconnect from this network: its stream is open as far as is noted, or
    has ended since."""
    return bool(
        await connection.fetchval(
            """
            SELECT EXISTS (
                SELECT FROM tickets JOIN logins ON logins.id = login_id
                WHERE hash = $1 AND network = $2 AND expires_at > now()
                    AND ended_at IS NULL AND opened_at > now() - $4::interval
                    AND (left_at IS NULL OR left_at > clock_timestamp() - $3::interval)
            )
            """,
            hashed,
            network,
            rule.reconnects,
            rule.login_lasts,
        )
    )


async def update_left(connection: Connection, tickets: Collection[Ticket]) -> None:
    """Note that these streams have ended. A ticket that has a newer stream stays as it is."""
    await connection.execute(
        """
        UPDATE tickets SET left_at = clock_timestamp() FROM unnest($1::bytea[], $2::integer[]) AS ended (hash, stream)
        WHERE tickets.hash = ended.hash AND tickets.stream = ended.stream
        """,
        [ticket.hashed for ticket in tickets],
        [ticket.stream for ticket in tickets],
    )


async def upsert_host(connection: Connection, host: str) -> None:
    """Note that a process is at work now."""
    await connection.execute(
        """
        INSERT INTO stream_hosts (id, seen_at) VALUES ($1, clock_timestamp())
        ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at
        """,
        host,
    )


async def delete_old_tickets(connection: Connection, *, keep: timedelta) -> int:
    """Delete expired tickets, and processes that gave no sign for `keep`; return how many tickets."""
    await connection.execute("DELETE FROM stream_hosts WHERE seen_at < now() - $1::interval", keep)
    return affected(await connection.execute("DELETE FROM tickets WHERE expires_at < now()"))
