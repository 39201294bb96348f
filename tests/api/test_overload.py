"""All connections to PostgreSQL are in use: who needs one is told to come again, and nothing calls the database down."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from api.http.keys import RESOURCES
from api.quotes.memory import MEMORY
from common.errors import StoreUnavailable
from common.operations.status import report_status
from common.process.resources import POOL_SIZE
from common.store.connection.pool import acquire
from tests.api.conftest import Client, User
from tests.harness.polling import eventually


def refusals(code: str) -> float:
    return REGISTRY.get_sample_value("quotewell_http_refusals_total", {"code": code}) or 0.0


@asynccontextmanager
async def full_pool(api: Client) -> AsyncIterator[None]:
    """Borrow every connection of the process, the last one after the database has answered."""
    assert api.app is not None
    pool = api.app[RESOURCES].db
    async with AsyncExitStack() as borrowed:

        async def borrow() -> bool:
            with suppress(StoreUnavailable):
                await borrowed.enter_async_context(acquire(pool))
                return True
            return False

        async def answers() -> bool:
            with suppress(StoreUnavailable):
                async with acquire(pool):
                    return True
            return False

        for _ in range(POOL_SIZE - 1):
            await eventually(borrow)
        await eventually(answers)
        await eventually(borrow)
        yield


async def test_a_wait_too_long_for_a_connection_is_overloaded_and_the_database_is_not_called_down(
    api: Client, ada: User
) -> None:
    assert api.app is not None
    await api.get("/api/stock/AAPL?wait=10")
    async with full_pool(api):
        before = {code: refusals(code) for code in ("overloaded", "store_unavailable")}
        with capture_logs() as logged:
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
    assert (200, "connected", "connected") == (known.status, health["database"], status.database)
    assert [] == [line for line in logged if line["event"] == "lost" and line["what"] == "database"]
    assert 3 == refusals("overloaded") - before["overloaded"]
    assert 0 == refusals("store_unavailable") - before["store_unavailable"]


async def test_the_pool_serves_again_once_a_connection_is_free(api: Client, ada: User) -> None:
    async with full_pool(api):
        refused = await api.get("/api/watchlist", headers=ada.headers)
    served = await api.get("/api/watchlist", headers=ada.headers)

    assert [503, 200] == [refused.status, served.status]
