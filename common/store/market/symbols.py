"""Symbols: how many track them, and the attempts to fetch them. Attempts belong to an account, quotes to a source."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from common.core.calendar.trading_day import ABROAD
from common.store.budget.ledger import Budget
from common.store.connection.pool import Connection, affected

UNKNOWN_TTL = timedelta(hours=1)


async def upsert_pins(connection: Connection, symbols: Sequence[str]) -> None:
    """Pin these symbols and unpin all others, except those an operator pinned. Pinned symbols are tracked without watchers."""
    await connection.execute(
        """
        WITH unpinned AS (UPDATE symbols SET pinned = false WHERE pinned AND NOT kept AND symbol <> ALL ($1))
        INSERT INTO symbols (symbol, pinned) SELECT unnest($1::text[]), true
        ON CONFLICT (symbol) DO UPDATE SET pinned = true WHERE NOT symbols.pinned
        """,
        sorted(symbols),
    )


async def select_unknown(connection: Connection, budget: Budget, symbol: str) -> bool:
    """Whether the provider did not have this symbol when asked within the last hour."""
    return bool(await select_unknown_among(connection, budget, [symbol]))


async def select_unknown_among(connection: Connection, budget: Budget, symbols: Sequence[str]) -> set[str]:
    """Those of `symbols` that the provider did not have when asked within the last hour."""
    rows = await connection.fetch(
        """
        SELECT symbol FROM attempts JOIN symbols USING (symbol)
        WHERE symbol = ANY ($2) AND account = $1 AND source IS DISTINCT FROM $4
            AND failures > 0 AND at > ledger_now() - $3::interval
        """,
        budget.account,
        list(symbols),
        UNKNOWN_TTL,
        budget.source,
    )
    return {row["symbol"] for row in rows}


async def update_quoted(connection: Connection, budget: Budget, answered: Mapping[str, float | None]) -> None:
    """Record that these symbols have a quote, each of the given market clock; forget their failures and return the credits used for them.

    A clock of None: the quote lacks the latest close, so the symbol keeps its age and its attempts, and rests before the next one.
    """
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
    """Record that their quotes were deleted: they need a first quote again."""
    await connection.execute("UPDATE symbols SET source = NULL WHERE symbol = ANY ($1)", list(symbols))


async def upsert_failed(
    connection: Connection, account: str, symbols: Sequence[str], at: datetime, first: timedelta
) -> None:
    """Put symbols without data into quarantine, doubling from `first` to a day with each failure."""
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


async def update_forgiven_lately(connection: Connection, account: str, period: timedelta) -> None:
    """Undo the failures of this period: they were the provider's fault."""
    await connection.execute(
        """
        UPDATE attempts SET failures = failures - 1, quarantined_until = ledger_now()
        WHERE account = $1 AND failures > 0 AND at > ledger_now() - $2::interval
        """,
        account,
        period,
    )


async def select_probe(connection: Connection, budget: Budget) -> str | None:
    """A symbol to probe for the new close: of the three heaviest the one asked for longest ago, since one may be halted.

    Symbols abroad come last: their close says nothing about New York's.
    """
    symbol: str | None = await connection.fetchval(
        """
        SELECT symbol FROM (
            SELECT symbol, greatest(fetched_at, at) AS asked_at FROM symbols LEFT JOIN quotes USING (symbol)
            LEFT JOIN (SELECT * FROM attempts WHERE account = $1) AS own USING (symbol)
            WHERE symbols.source = $2 AND level IS NOT NULL AND NOT coalesce(failures > 0, false)
            ORDER BY symbol ~ $3, level DESC, watchers DESC, symbol LIMIT 3
        ) AS heaviest ORDER BY symbol ~ $3, asked_at NULLS FIRST, symbol LIMIT 1
        """,
        budget.account,
        budget.source,
        ABROAD,
    )
    return symbol


async def update_reads(connection: Connection, reads: Mapping[str, int], half_life: timedelta) -> None:
    """Add counted reads to the decayed earlier ones."""
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
    """Decay reads, which moves symbols to the level of their present weight; return how many symbols."""
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
    """Delete untracked symbols that were neither read nor fetched within `keep`; return how many."""
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
    """Return credits older than `keep` to their users; return how many."""
    return affected(await connection.execute("DELETE FROM credits WHERE used_at < ledger_now() - $1::interval", keep))


async def update_untried(connection: Connection, call: int) -> None:
    """Take back the attempt that a call counted for its symbols, so that they may be tried at once."""
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
