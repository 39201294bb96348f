"""Who waits for a first answer: what it costs while nothing can be granted, and what is refused at once."""

import asyncio
import time
from collections import Counter
from typing import Any

import asyncpg
import pytest

from api.http.keys import RESOURCES
from common.core.limits import parse_limits
from common.core.models import Listed
from common.store.budget import ledger
from common.store.connection.pool import acquire
from common.store.market import listings
from tests.api.conftest import Client, OpenApi, Provider, User, register
from tests.harness.polling import BUSY, eventually

SECONDS = 4
AT_ONCE = 1 + BUSY  # seconds: those who wait, wait for ten


async def spend(client: Client) -> None:
    """A call that the journal counts from now on."""
    assert client.app is not None
    resources = client.app[RESOURCES]
    async with acquire(resources.db) as connection:
        await connection.execute(
            """
            INSERT INTO calls (account, function, subjects, class, granted_at, ends_at, outcome, caller)
            VALUES ($1, 'GLOBAL_QUOTE', '{MSFT}', 'user', ledger_now(), ledger_now(), 'ok', 'test')
            """,
            resources.budget.account,
        )


async def list_symbols(db: asyncpg.Pool, *symbols: str) -> None:
    """The provider's listing has these and no others."""
    async with acquire(db) as connection:
        listed = [Listed(symbol, symbol, "NYSE", "Stock", None) for symbol in symbols]
        assert await listings.replace_listing(connection, "simulated", listed, await ledger.select_now(connection))


async def ask(client: Client, path: str, user: User | None = None) -> tuple[int, dict[str, Any], float]:
    began = time.monotonic()
    async with client.get(path, headers=user.headers if user else {}) as answer:
        body = await answer.json()
        assert (str(body["retry_after"]) if answer.status == 503 else None) == answer.headers.get("Retry-After")
        return answer.status, body, time.monotonic() - began


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many statements this process has sent to PostgreSQL, which counts transactions late."""
    sent, send = Counter[str](), asyncpg.Connection._do_execute

    async def counted(connection: asyncpg.Connection, query: str, *more: Any, **options: Any) -> Any:
        sent[query] += 1
        return await send(connection, query, *more, **options)

    monkeypatch.setattr(asyncpg.Connection, "_do_execute", counted)
    return sent


async def sent_a_second(statements: Counter[str]) -> int:
    """The least of several seconds: what each waiter asks once, as it begins, is not in all of them."""
    seconds = []
    for _ in range(SECONDS):
        before = statements.total()
        await asyncio.sleep(1)
        seconds.append(statements.total() - before)
    return min(seconds)


async def test_twenty_who_wait_on_a_spent_budget_cost_few_statements(
    open_api: OpenApi, provider: Provider, db: asyncpg.Pool, statements: Counter[str]
) -> None:
    api = await open_api(limits=parse_limits("1/1min", "limits"))
    await spend(api)
    quiet = await sent_a_second(statements)
    users = [await register(api, f"user{number}") for number in range(7)]
    waiting = [
        asyncio.create_task(ask(api, f"/api/stock/S{number}?wait=10", users[number // 3])) for number in range(20)
    ]

    async def all_queued() -> bool:
        return bool(20 == await db.fetchval("SELECT count(*) FROM demand"))

    await eventually(all_queued)
    busy = await sent_a_second(statements)
    answers = await asyncio.gather(*waiting)

    assert busy - quiet <= 10
    assert busy > 0
    assert {(503, "quote_pending")} == {(status, body["code"]) for status, body, _ in answers}
    assert [] == await provider.asked()


@pytest.mark.parametrize("path", ["/api/stock/TSCO.LON", "/api/stock/TSCO.LON/chart"])
async def test_a_strangers_symbol_that_the_listing_lacks_costs_no_call_and_a_users_does(
    api: Client, provider: Provider, db: asyncpg.Pool, ada: User, path: str
) -> None:
    await list_symbols(db, "AAPL", "IBM")
    status, body, took = await ask(api, f"{path}?wait=10")

    assert (404, "unknown_symbol") == (status, body["code"])
    assert body["error"] == ("TSCO.LON is not in the provider's listing; log in to have the provider asked anyway")
    assert took < AT_ONCE
    assert ([], 0) == (await provider.asked(), await db.fetchval("SELECT count(*) FROM demand"))
    assert (await ask(api, f"{path}?wait=10", ada))[0] in (200, 404)
    assert ["TSCO.LON"] == await provider.asked()


async def test_a_strangers_symbol_that_is_listed_or_was_quoted_is_asked_for(
    api: Client, provider: Provider, db: asyncpg.Pool, ada: User
) -> None:
    await ask(api, "/api/stock/ORCL?wait=10", ada)
    await list_symbols(db, "AAPL", "IBM")
    listed = await ask(api, "/api/stock/IBM?wait=10")
    quoted = await ask(api, "/api/stock/ORCL/chart?wait=10")

    assert [200, 200] == [listed[0], quoted[0]]
    assert ["ORCL", "IBM", "ORCL"] == await provider.asked()


async def test_a_refused_key_is_said_at_once_to_all_who_ask_then(api: Client, provider: Provider, ada: User) -> None:
    await provider.fault("notice:bad_key")
    await ask(api, "/api/stock/IBM?wait=10", ada)
    answers = [
        await ask(api, path, user)
        for path in ("/api/stock/MSFT?wait=10", "/api/stock/IBM?wait=10", "/api/stock/IBM/chart?wait=10")
        for user in (ada, None)
    ]

    assert {(503, "provider_unavailable")} == {(status, body["code"]) for status, body, _ in answers}
    assert max(took for _, _, took in answers) < AT_ONCE
    assert all(14 * 60 < body["retry_after"] <= 15 * 60 for _, body, _ in answers)
    assert ["IBM"] == await provider.asked()


async def test_a_gate_that_closes_is_said_to_those_who_wait_already(api: Client, provider: Provider, ada: User) -> None:
    await provider.fault("http_503")
    answers = await asyncio.gather(*(ask(api, f"/api/stock/{name}?wait=15", ada) for name in ("IBM", "MSFT", "AAPL")))

    assert {(503, "provider_unavailable")} == {(status, body["code"]) for status, body, _ in answers}
    assert max(took for _, _, took in answers) < 5 + BUSY  # and not fifteen
    assert all(1 <= body["retry_after"] <= 15 for _, body, _ in answers)
    assert 3 == len(await provider.asked())


@pytest.mark.parametrize("path", ["/api/stock/IBM?wait=10", "/api/stock/IBM/chart?wait=10", "/api/search/tesco"])
async def test_a_call_serves_who_waits_in_another_process_within_a_second(
    open_api: OpenApi, provider: Provider, path: str
) -> None:
    processes = [await open_api(), await open_api()]
    await provider.fault("slow", delay=0.5)

    async def served(number: int) -> float:
        assert 200 == (await ask(processes[number], path))[0]
        return time.monotonic()

    times = await asyncio.gather(served(0), served(1))

    assert abs(times[0] - times[1]) < 1 + BUSY
    assert 1 == len(await provider.asked())


async def test_one_requester_has_twenty_waits_in_a_process_and_the_rest_hear_when_to_come_back(
    open_api: OpenApi, provider: Provider
) -> None:
    api = await open_api(limits=parse_limits("1/1min", "limits"))
    await spend(api)
    waiting = [asyncio.create_task(ask(api, "/api/stock/IBM?wait=20")) for _ in range(25)]

    async def five_are_refused() -> bool:
        return 5 == sum(each.done() for each in waiting)

    await eventually(five_are_refused, within=15)
    answers = [each.result() for each in waiting if each.done()]
    await asyncio.sleep(0.5)
    assert {(503, "quote_pending")} == {(status, body["code"]) for status, body, _ in answers}
    assert 5 == sum(each.done() for each in waiting)
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_symbol_of_the_own_list_is_never_refused_with_429(
    open_api: OpenApi, db: asyncpg.Pool, provider: Provider
) -> None:
    api = await open_api(limits=parse_limits("1/1min", "limits"))
    await spend(api)
    ada = await register(api, "ada")
    names = [f"W{number:02}" for number in range(13)]
    await list_symbols(db, *names)
    for name in names:
        await db.execute("INSERT INTO watchlist_items (user_id, symbol, added_at) VALUES ($1, $2, now())", ada.id, name)
    answers = [await ask(api, f"/api/stock/{name}?wait=0", ada) for name in names]
    again = await ask(api, f"/api/stock/{names[0]}?wait=0", ada)

    assert {(503, "quote_pending")} == {(status, body["code"]) for status, body, _ in (*answers, again)}
    assert 10 == await db.fetchval("SELECT count(*) FROM demand")
    assert answers[-1][1]["error"] == (
        "the first answer for W12 comes in its turn: many symbols of your list are queued already"
    )


async def test_who_was_told_when_to_come_back_is_told_the_end_of_a_hold_and_the_place_behind_it(
    open_api: OpenApi, db: asyncpg.Pool, provider: Provider, ada: User
) -> None:
    api = await open_api(limits=parse_limits("1/1min", "limits"))
    assert api.app is not None
    account = api.app[RESOURCES].budget.account
    await db.execute(
        "INSERT INTO ledgers (account, held_until, held_for) VALUES ($1, ledger_now() + interval '10 minutes', 'operator')",
        account,
    )
    first, second = [(await ask(api, f"/api/stock/{name}?wait=1", ada))[1]["retry_after"] for name in ("IBM", "MSFT")]
    rows = await db.fetch("SELECT expires - ledger_now() AS stay, urgent_at FROM demand ORDER BY since")

    assert 600 <= first <= 604
    assert 660 <= second <= 666
    assert second + 55 <= rows[1]["stay"].total_seconds() <= second + 61
    assert all(row["urgent_at"] is not None for row in rows)
