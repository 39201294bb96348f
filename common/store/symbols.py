"""Who wants a symbol, and how its attempts went. Attempts belong to an account: another one starts anew."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from common.store.pool import Connection

UNKNOWN_FOR = timedelta(hours=1)


async def upsert_pins(connection: Connection, symbols: Sequence[str]) -> None:
    """Pin these and no others: pinned symbols are wanted though nobody watches them."""
    await connection.execute(
        """
        WITH unpinned AS (UPDATE symbols SET pinned = false WHERE pinned AND symbol <> ALL ($1))
        INSERT INTO symbols (symbol, pinned) SELECT unnest($1::text[]), true
        ON CONFLICT (symbol) DO UPDATE SET pinned = true WHERE NOT symbols.pinned
        """,
        sorted(symbols),
    )


async def select_unknown(connection: Connection, account: str, symbol: str) -> bool:
    """Whether the provider, asked within the hour, had no such symbol."""
    return bool(
        await connection.fetchval(
            """
            SELECT NOT quoted AND failures > 0 AND attempted_at > ledger_now() - $3::interval
            FROM symbols WHERE symbol = $2 AND account = $1
            """,
            account,
            symbol,
            UNKNOWN_FOR,
        )
    )


async def update_quoted(connection: Connection, symbols: Sequence[str]) -> None:
    """They have a quote: what went wrong before is forgotten."""
    await connection.execute(
        """
        UPDATE symbols SET quoted = true, failures = 0, quarantined_until = NULL
        WHERE symbol = ANY ($1)
        """,
        list(symbols),
    )


async def update_failed(connection: Connection, symbols: Sequence[str], at: datetime, first: timedelta) -> None:
    """The provider had no data for them: quarantine, doubling from `first` to a day."""
    await connection.execute(
        """
        UPDATE symbols SET failures = failures + 1,
            quarantined_until = $2::timestamptz + least($3::interval * power(2, least(failures, 20)), interval '1 day')
        WHERE symbol = ANY ($1)
        """,
        list(symbols),
        at,
        first,
    )


async def update_unattempted(connection: Connection, call: int) -> None:
    """The call never left: its symbols are as old as they were."""
    await connection.execute(
        """
        UPDATE symbols SET attempted_clock = demand.clock_before
        FROM demand WHERE demand.call = $1 AND demand.function = 'GLOBAL_QUOTE' AND demand.subject = symbols.symbol
        """,
        call,
    )
