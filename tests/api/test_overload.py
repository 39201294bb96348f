"""All connections to PostgreSQL are in use: who needs one is told to come again, and nothing calls the database down."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from api.http.keys import RESOURCES
from api.quotes.memory import MEMORY
from common.operations.status import report_status
from common.process.resources import POOL_SIZE
from common.store.connection.pool import acquire
from tests.api.conftest import Client, User


def refusals(code: str) -> float:
    return REGISTRY.get_sample_value("quotewell_http_refusals_total", {"code": code}) or 0.0


@asynccontextmanager
async def full_pool(api: Client) -> AsyncIterator[None]:
    """Borrow every connection of the process."""
    assert api.app is not None
    async with AsyncExitStack() as borrowed:
        for _ in range(POOL_SIZE):
            await borrowed.enter_async_context(acquire(api.app[RESOURCES].db))
        yield


async def test_a_wait_too_long_for_a_connection_is_overloaded_and_the_database_is_not_called_down(
    api: Client, ada: User
) -> None:
    assert api.app is not None
    before = {code: refusals(code) for code in ("overloaded", "store_unavailable")}
    await api.get("/api/stock/AAPL?wait=10")
    with capture_logs() as logged:
        async with full_pool(api):
            answers = [
                await api.get("/api/watchlist", headers=ada.headers),
                await api.get("/api/stock/AAPL/history"),
                await api.get("/api/stock/ORCL?wait=0"),
            ]
            known = await api.get("/api/stock/AAPL")
            health = await (await api.get("/api/health")).json()
            status = await report_status(api.app[RESOURCES])
            assert not api.app[MEMORY].outlook.store_down
    told = [await answer.json() for answer in answers]

    assert [(503, "overloaded", "1")] * 3 == [
        (answer.status, body["code"], answer.headers["Retry-After"]) for answer, body in zip(answers, told, strict=True)
    ]
    assert "in use" in told[0]["error"]
    assert (200, "connected", "healthy") == (known.status, health["database"], health["status"])
    assert ("connected", "connected") == (status.database, status.redis)
    assert [] == [line for line in logged if line["event"] == "lost"]
    assert 3 == refusals("overloaded") - before["overloaded"]
    assert 0 == refusals("store_unavailable") - before["store_unavailable"]


async def test_the_pool_serves_again_once_a_connection_is_free(api: Client, ada: User) -> None:
    async with full_pool(api):
        refused = await api.get("/api/watchlist", headers=ada.headers)
    served = await api.get("/api/watchlist", headers=ada.headers)

    assert [503, 200] == [refused.status, served.status]
