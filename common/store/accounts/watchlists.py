"""Watchlists. The database enforces the limit, the uniqueness and the order, also for concurrent changes.

Every change locks the user's row before any row of the list, so that two changes never deadlock.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from common.errors import AlreadyOnWatchlist, InvalidToken, WatchlistFull
from common.store.connection.pool import Connection


async def insert_item(connection: Connection, user: int, symbol: str, *, most: int) -> None:
    """Add a symbol; raise `AlreadyOnWatchlist` or `WatchlistFull` and change nothing."""
    verdict = await connection.fetchval("SELECT add_to_watchlist($1, $2, $3)", user, symbol, most)
    if verdict == "already":
        raise AlreadyOnWatchlist(f"{symbol} is on the watchlist already")
    if verdict == "full":
        raise WatchlistFull(f"a watchlist holds at most {most} symbols")
    if verdict == "no_user":
        raise InvalidToken("the account of this token does not exist")


async def select_items(connection: Connection, user: int) -> list[str]:
    """A user's symbols in the user's order; symbols added since come last."""
    rows = await connection.fetch(
        "SELECT symbol FROM watchlist_items WHERE user_id = $1 ORDER BY position, added_at, symbol", user
    )
    return [row["symbol"] for row in rows]


async def delete_item(connection: Connection, user: int, symbol: str) -> bool:
    """Remove a symbol; return whether it was on the list."""
    return bool(
        await connection.fetchval(
            """
            WITH owner AS (SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE)
            DELETE FROM watchlist_items USING owner WHERE user_id = owner.id AND symbol = $2 RETURNING true
            """,
            user,
            symbol,
        )
    )


async def lock_list(connection: Connection, user: int) -> None:
    """Block other changes of the list until the transaction ends. The next statement sees all earlier changes."""
    await connection.execute("SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE", user)


async def update_order(connection: Connection, user: int, symbols: Sequence[str]) -> list[str]:
    """Reorder a locked list. Return the symbols that are missing, repeated or not on the list; if there are any, nothing is changed."""
    rows = await connection.fetch(
        """
        WITH given AS (SELECT * FROM unnest($2::text[]) WITH ORDINALITY AS given (symbol, place)),
        listed AS (SELECT symbol FROM watchlist_items WHERE user_id = $1),
        wrong AS (
            (SELECT symbol FROM given EXCEPT ALL SELECT symbol FROM listed)
            UNION (SELECT symbol FROM listed EXCEPT SELECT symbol FROM given)
        ),
        placed AS (
            UPDATE watchlist_items SET position = place FROM given
            WHERE user_id = $1 AND watchlist_items.symbol = given.symbol AND NOT EXISTS (SELECT FROM wrong)
        )
        SELECT symbol FROM wrong ORDER BY symbol
        """,
        user,
        list(symbols),
    )
    return [row["symbol"] for row in rows]


@dataclass(frozen=True, slots=True)
class Watchlist:
    """A user's symbols in order, with the time each was added; the list as of `changed_at`."""

    user: int
    changed_at: datetime
    added: dict[str, datetime]


async def select_lists(connection: Connection, known: Collection[tuple[int, datetime | None]]) -> dict[int, Watchlist]:
    """The lists, by user, that changed since the known `changed_at`; None: unknown, so the list is returned."""
    rows = await connection.fetch(
        """
        SELECT users.id, coalesce(watchlist_changed_at, created_at) AS changed_at,
            ARRAY(SELECT symbol FROM watchlist_items WHERE user_id = users.id ORDER BY position, added_at, symbol) AS symbols,
            ARRAY(SELECT added_at FROM watchlist_items WHERE user_id = users.id ORDER BY position, added_at, symbol) AS times
        FROM unnest($1::bigint[], $2::timestamptz[]) AS known (id, changed_at) JOIN users ON users.id = known.id
        WHERE coalesce(watchlist_changed_at, created_at) IS DISTINCT FROM known.changed_at
        """,
        [user for user, _ in known],
        [changed_at for _, changed_at in known],
    )
    return {
        row["id"]: Watchlist(row["id"], row["changed_at"], dict(zip(row["symbols"], row["times"], strict=True)))
        for row in rows
    }
