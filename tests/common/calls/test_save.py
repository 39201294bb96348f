"""What an answer leaves in the history: of bulk calls one quote a minute, and each final price."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from common.calls.save import write_answer
from common.core.models import CallClass, Function, Price
from common.process.resources import Resources
from common.store.budget.ledger import Grant
from common.store.connection.pool import acquire
from common.store.market import quotes

OPEN = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)  # a Monday, in a session of the NYSE
CLOSED = datetime(2026, 3, 2, 21, 5, tzinfo=UTC)
SYMBOLS = ("AAPL", "IBM")


@pytest.mark.parametrize(
    ("function", "began", "rows"),
    [(Function.BULK, OPEN, 2), (Function.BULK, CLOSED, 4), (Function.QUOTE, OPEN, 4)],
)
async def test_bulk_calls_collect_a_quote_a_minute_while_the_market_is_open(
    resources: Resources, function: Function, began: datetime, rows: int
) -> None:
    nyse = replace(resources, settings=replace(resources.settings, market_hours="nyse"))
    for at, price in ((began, 10), (began + timedelta(seconds=59), 11)):
        grant = Grant(1, function, SYMBOLS, CallClass.REFRESH, at)
        answer = tuple(Price(symbol, Decimal(price), at.date()) for symbol in SYMBOLS)
        async with acquire(resources.db) as connection:
            await write_answer(connection, nyse, grant, answer, at)

    async with acquire(resources.db) as connection:
        newest = await quotes.select_quotes(connection, "simulated", SYMBOLS)
        assert rows == await connection.fetchval("SELECT count(*) FROM quote_history")
    assert [Decimal(11)] * 2 == [quote.price.price for quote in newest]
