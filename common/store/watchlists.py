"""Watchlists. The limit and the uniqueness hold in the database, whatever arrives at once."""

from common.errors import AlreadyOnWatchlist, InvalidToken, WatchlistFull
from common.store.pool import Connection


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
    """A user's symbols, in the order in which they were added."""
    rows = await connection.fetch(
        "SELECT symbol FROM watchlist_items WHERE user_id = $1 ORDER BY added_at, symbol", user
    )
    return [row["symbol"] for row in rows]


async def delete_item(connection: Connection, user: int, symbol: str) -> bool:
    """Whether it was there."""
    return bool(
        await connection.fetchval(
            "DELETE FROM watchlist_items WHERE user_id = $1 AND symbol = $2 RETURNING true", user, symbol
        )
    )
