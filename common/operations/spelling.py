"""Symbols as the listing in the database spells them: for whoever has no copy of it."""

from collections.abc import Sequence

from common.core.symbols import normalize_symbol, spellings
from common.store.connection.pool import Connection
from common.store.market.listings import select_known


async def spell(connection: Connection, source: str, symbols: Sequence[str]) -> list[str]:
    """Each in the provider's spelling, in their order; raise `InvalidSymbol`."""
    known = await select_known(connection, source, [spelt for text in symbols for spelt in spellings(text)])
    return [normalize_symbol(text, known) for text in symbols]


async def spell_one(connection: Connection, source: str, symbol: str) -> str:
    return (await spell(connection, source, [symbol]))[0]
