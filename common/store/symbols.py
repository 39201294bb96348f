"""Who wants a symbol, and how its attempts went. Attempts belong to an account: another one starts anew."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from common.store.pool import Connection

UNKNOWN_FOR = timedelta(hours=1)


async def upsert_pins(connection: Connection, symbols: Sequence[str]) -> None:
    """Pin these, and no others but those that operators keep: pinned symbols are wanted though nobody watches them."""
    await connection.execute(
        """
        WITH unpinned AS (UPDATE symbols SET pinned = false WHERE pinned AND NOT kept AND symbol <> ALL ($1))
        INSERT INTO symbols (symbol, pinned) SELECT unnest($1::text[]), true
        ON CONFLICT (symbol) DO UPDATE SET pinned = true WHERE NOT symbols.pinned
        """,
        sorted(symbols),
    )


async def select_unknown(connection: Connection, account: str, symbol: str) -> bool:
    """Whether the provider, asked within the hour, had no such symbol."""
    return bool(await select_unknown_among(connection, account, [symbol]))


async def select_unknown_among(connection: Connection, account: str, symbols: Sequence[str]) -> set[str]:
    """Those of them that the provider, asked within the hour, did not have."""
    rows = await connection.fetch(
        """
        SELECT symbol FROM symbols
        WHERE symbol = ANY ($2) AND account = $1 AND NOT quoted AND failures > 0 AND attempted_at > ledger_now() - $3::interval
        """,
        account,
        list(symbols),
        UNKNOWN_FOR,
    )
    return {row["symbol"] for row in rows}


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


async def select_probe(connection: Connection) -> str | None:
    """One of the three heaviest symbols, the one asked longest ago: a halted one among them must not stop the probe."""
    symbol: str | None = await connection.fetchval(
        """
        SELECT symbol FROM (
            SELECT symbol, attempted_at FROM symbols WHERE failures = 0 AND (watchers > 0 OR pinned)
            ORDER BY watchers DESC, symbol LIMIT 3
        ) AS heaviest ORDER BY attempted_at NULLS FIRST, symbol LIMIT 1
        """
    )
    return symbol


async def update_clock(connection: Connection, symbol: str, clock: float) -> None:
    """The price that came is that of a later trading day than the attempt counted on."""
    await connection.execute(
        "UPDATE symbols SET attempted_clock = $2 WHERE symbol = $1 AND attempted_clock < $2", symbol, clock
    )


async def update_reads(connection: Connection, reads: Mapping[str, int], half_life: timedelta) -> None:
    """Add reads that were counted elsewhere to what the earlier ones weigh by now."""
    await connection.execute(
        """
        INSERT INTO symbols (symbol, reads, reads_at)
        SELECT symbol, reads, ledger_now() FROM unnest($1::text[], $2::float8[]) AS counted (symbol, reads) ORDER BY symbol
        ON CONFLICT (symbol) DO UPDATE SET reads_at = excluded.reads_at,
            reads = decayed(symbols.reads, symbols.reads_at, excluded.reads_at, $3) + excluded.reads
        """,
        list(reads),
        [float(count) for count in reads.values()],
        half_life,
    )


async def delete_forgotten(connection: Connection, *, keep: timedelta) -> int:
    """Forget symbols that nobody wants and that were not attempted for a while; how many."""
    done = await connection.execute(
        """
        DELETE FROM symbols WHERE watchers = 0 AND NOT pinned AND coalesce(attempted_at < ledger_now() - $1::interval, true)
            AND coalesce(reads_at < ledger_now() - $1::interval, true)
        """,
        keep,
    )
    return int(str(done).rpartition(" ")[2])


async def update_unattempted(connection: Connection, call: int) -> None:
    """The call never left: its symbols are as old as they were."""
    await connection.execute(
        """
        UPDATE symbols SET attempted_clock = demand.clock_before
        FROM demand WHERE demand.call = $1 AND demand.function = 'GLOBAL_QUOTE' AND demand.subject = symbols.symbol
        """,
        call,
    )
