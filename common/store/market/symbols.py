"""Who wants a symbol, and how the tries of it went. Tries belong to an account, quotes to a source."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from common.store.budget.ledger import Budget
from common.store.connection.pool import Connection, affected

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


async def select_unknown(connection: Connection, budget: Budget, symbol: str) -> bool:
    """Whether the provider, asked within the hour, had no such symbol."""
    return bool(await select_unknown_among(connection, budget, [symbol]))


async def select_unknown_among(connection: Connection, budget: Budget, symbols: Sequence[str]) -> set[str]:
    """Those of them that the provider, asked within the hour, did not have."""
    rows = await connection.fetch(
        """
        SELECT symbol FROM attempts JOIN symbols USING (symbol)
        WHERE symbol = ANY ($2) AND account = $1 AND source IS DISTINCT FROM $4
            AND failures > 0 AND at > ledger_now() - $3::interval
        """,
        budget.account,
        list(symbols),
        UNKNOWN_FOR,
        budget.source,
    )
    return {row["symbol"] for row in rows}


async def update_quoted(connection: Connection, budget: Budget, answered: Mapping[str, float | None]) -> None:
    """They have a quote, of the market's clock that is given; None: one that lacks the close that is out, so they stay as old as they
    were. Otherwise what went wrong before is forgotten, and whoever had them asked for has the credit back."""
    served = [symbol for symbol, clock in answered.items() if clock is not None]
    await connection.execute(
        """
        UPDATE symbols SET source = $2, clock = coalesce(given.clock, symbols.clock)
        FROM unnest($1::text[], $3::float8[]) AS given (symbol, clock) WHERE symbols.symbol = given.symbol
        """,
        list(answered),
        budget.source,
        list(answered.values()),
    )
    await connection.execute("DELETE FROM attempts WHERE account = $1 AND symbol = ANY ($2)", budget.account, served)
    await connection.execute(
        "UPDATE attempts SET failures = 0, quarantined_until = NULL WHERE account = $1 AND symbol = ANY ($2) AND failures > 0",
        budget.account,
        list(answered),
    )
    await connection.execute("DELETE FROM credits WHERE symbol = ANY ($1)", list(answered))


async def update_unquoted(connection: Connection, symbols: Sequence[str]) -> None:
    """Their quotes are gone: whoever wants one of them again waits for a first one."""
    await connection.execute("UPDATE symbols SET source = NULL WHERE symbol = ANY ($1)", list(symbols))


async def upsert_failed(
    connection: Connection, account: str, symbols: Sequence[str], at: datetime, first: timedelta
) -> None:
    """The provider had no data for them: quarantine, doubling from `first` to a day."""
    await connection.execute(
        """
        INSERT INTO attempts (account, symbol, at, failures, quarantined_until)
        SELECT $1, symbol, $3, 1, $3::timestamptz + $4::interval FROM symbols WHERE symbol = ANY ($2)
        ON CONFLICT (account, symbol) DO UPDATE SET failures = attempts.failures + 1,
            quarantined_until = $3::timestamptz + least($4::interval * power(2, least(attempts.failures, 20)), interval '1 day')
        """,
        account,
        list(symbols),
        at,
        first,
    )


async def update_forgiven_lately(connection: Connection, account: str) -> None:
    """What was blamed on symbols within the last minutes was the provider's fault."""
    await connection.execute(
        """
        UPDATE attempts SET failures = failures - 1, quarantined_until = ledger_now()
        WHERE account = $1 AND failures > 0 AND at > ledger_now() - interval '10 minutes'
        """,
        account,
    )


async def select_probe(connection: Connection, budget: Budget) -> str | None:
    """One of the three heaviest symbols, the one asked for longest ago: a halted one among them must not stop the probe."""
    symbol: str | None = await connection.fetchval(
        """
        SELECT symbol FROM (
            SELECT symbol, greatest(fetched_at, at) AS asked_at FROM symbols LEFT JOIN quotes USING (symbol)
            LEFT JOIN (SELECT * FROM attempts WHERE account = $1) AS own USING (symbol)
            WHERE symbols.source = $2 AND level IS NOT NULL AND NOT coalesce(failures > 0, false)
            ORDER BY level DESC, watchers DESC, symbol LIMIT 3
        ) AS heaviest ORDER BY asked_at NULLS FIRST, symbol LIMIT 1
        """,
        budget.account,
        budget.source,
    )
    return symbol


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


async def update_decayed(connection: Connection, source: str, half_life: timedelta) -> int:
    """Reads fade: move symbols to the level of what they weigh by now. How many were moved."""
    done = await connection.execute(
        """
        UPDATE symbols SET reads = decayed(reads, reads_at, ledger_now(), $1), reads_at = ledger_now()
        WHERE reads > 0 AND reads_at < ledger_now() - $1::interval / 24 AND level IS NOT NULL
        """,
        half_life,
    )
    await connection.execute("SELECT seek_firsts($1, ledger_now())", source)
    return affected(done)


async def delete_forgotten(connection: Connection, *, keep: timedelta) -> int:
    """Forget symbols that nobody wants and that were neither read nor fetched for a while, and tries of them; how many."""
    done = await connection.execute(
        """
        DELETE FROM symbols WHERE watchers = 0 AND NOT pinned AND coalesce(reads_at < ledger_now() - $1::interval, true)
            AND NOT EXISTS (SELECT FROM attempts a WHERE a.symbol = symbols.symbol AND a.at >= ledger_now() - $1::interval)
            AND NOT EXISTS (SELECT FROM quotes q WHERE q.symbol = symbols.symbol AND q.fetched_at >= ledger_now() - $1::interval)
            AND NOT EXISTS (SELECT FROM watchlist_items i WHERE i.symbol = symbols.symbol)
        """,
        keep,
    )
    return affected(done)


async def delete_old_credits(connection: Connection, *, keep: timedelta) -> int:
    """Credit comes back after a day."""
    return affected(await connection.execute("DELETE FROM credits WHERE used_at < ledger_now() - $1::interval", keep))


async def update_untried(connection: Connection, call: int) -> None:
    """A call says nothing about its symbols: they may be tried at once."""
    await connection.execute(
        """
        WITH untried AS (
            SELECT a.account, a.symbol FROM calls c JOIN attempts a ON a.account = c.account AND a.symbol = ANY (c.subjects)
            WHERE c.id = $1 AND c.function IN ('GLOBAL_QUOTE', 'REALTIME_BULK_QUOTES')
        ), gone AS (
            DELETE FROM attempts USING untried
            WHERE (attempts.account, attempts.symbol) = (untried.account, untried.symbol) AND failures = 0 AND tries <= 1
        )
        UPDATE attempts SET tries = greatest(0, tries - 1) FROM untried
        WHERE (attempts.account, attempts.symbol) = (untried.account, untried.symbol) AND NOT (failures = 0 AND tries <= 1)
        """,
        call,
    )
