"""Heartbeats: when beat and each worker process were last at work, in the ledger's time. The table is `pulses`."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from common.store.connection.pool import Connection, affected

BEAT = "beat"


async def upsert_heartbeats(connection: Connection, names: Sequence[str]) -> None:
    """Record that these processes are at work now."""
    await connection.execute(
        """
        INSERT INTO pulses (name, at) SELECT name, ledger_now() FROM unnest($1::text[]) AS name ORDER BY name
        ON CONFLICT (name) DO UPDATE SET at = excluded.at
        """,
        list(names),
    )


async def select_heartbeats(connection: Connection) -> dict[str, datetime]:
    rows = await connection.fetch("SELECT name, at FROM pulses ORDER BY name")
    return {row["name"]: row["at"] for row in rows}


async def delete_old_heartbeats(connection: Connection, *, keep: timedelta) -> int:
    return affected(await connection.execute("DELETE FROM pulses WHERE at < ledger_now() - $1::interval", keep))
