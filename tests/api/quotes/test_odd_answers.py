"""A chart that the database refuses: said once, and not asked for again. Its traceback takes a busy machine seconds."""

import pytest

from api.http.keys import RESOURCES
from common.store.connection.pool import acquire
from tests.api.conftest import Client, Provider


@pytest.mark.parametrize("path", ["/api/stock/IBM/chart?wait=20", "/api/stock/IBM/chart?days=5&wait=20"])
async def test_a_chart_that_the_database_refuses_is_remembered_as_unknown(
    api: Client, provider: Provider, path: str
) -> None:
    async with acquire(api.app[RESOURCES].db) as connection:
        await connection.execute("ALTER TABLE daily_bars ADD CONSTRAINT refused CHECK (close < 0)")
    try:
        for _ in range(3):
            async with api.get(path) as answer:
                assert (404, "unknown_symbol") == (answer.status, (await answer.json())["code"])
    finally:
        async with acquire(api.app[RESOURCES].db) as connection:
            await connection.execute("ALTER TABLE daily_bars DROP CONSTRAINT refused")

    assert ["IBM"] == await provider.asked()
