"""What operators ask and do over HTTP: who may, what is refused with which sentence, and what stands in the audit."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientResponse
from redis.asyncio import Redis

from api.http.keys import RESOURCES
from api.ops.questions import Ended
from api.ops.routes import routes
from common.calls import permits, work
from common.core.provider.outcomes import Outcome
from common.provider import Permit
from common.store.connection.pool import acquire
from tests.api.conftest import PASSWORD, Client, User, register
from tests.api.http.test_contract import breaches
from tests.harness.polling import eventually

Json = dict[str, Any]
ROUTES = sorted((route.method, route.path) for route in routes)  # type: ignore[attr-defined]
READS = [path for method, path in ROUTES if method == "GET" and "{" not in path]


@pytest.fixture
async def root(api: Client, db: asyncpg.Pool) -> User:
    """An operator."""
    user = await register(api, "root")
    await db.execute("UPDATE users SET scope = 'operator' WHERE id = $1", user.id)
    answer = await api.post("/api/auth/login", json={"username": "root", "password": PASSWORD})
    return replace(user, headers={"Authorization": f"Bearer {(await answer.json())['access_token']}"})


async def say(api: Client, user: User, method: str, path: str, **more: Any) -> tuple[int, Json]:
    answer = await api.request(method, path, headers=user.headers, **more)
    assert "no-store" == answer.headers["Cache-Control"]
    return answer.status, await answer.json()


async def acts(db: asyncpg.Pool) -> list[tuple[str, str, str | None]]:
    rows = await db.fetch("SELECT event, actor, subject FROM audit WHERE event !~ 'registered|logged_in' ORDER BY id")
    return [tuple(row) for row in rows]


async def serve_all(api: Client) -> None:
    """Work the line as a worker does, until nothing waits. Background would go on: on a busy machine it is always due."""
    assert api.app is not None
    resources = api.app[RESOURCES]

    async def nothing_waits() -> bool:
        if isinstance(permit := await permits.obtain_permit(resources), Permit):
            await work.carry_out(resources, permit)
        async with acquire(resources.db) as connection:
            return bool(0 == await connection.fetchval("SELECT count(*) FROM demand"))

    await eventually(nothing_waits)


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_only_operators_may(api: Client, ada: User, method: str, path: str) -> None:
    address = re.sub("{.*?}", "1", path)
    nobody = await api.request(method, address)
    somebody = await api.request(method, address, headers=ada.headers)

    assert (401, "invalid_token") == (nobody.status, (await nobody.json())["code"])
    assert (403, "insufficient_scope") == (somebody.status, (await somebody.json())["code"])


async def test_every_act_stands_in_the_audit(api: Client, root: User, db: asyncpg.Pool) -> None:
    assert api.app is not None
    await db.execute("INSERT INTO symbols (symbol, watchers) VALUES ('BAD', 1)")
    await db.execute(
        "INSERT INTO attempts (account, symbol, at, failures) VALUES ($1, 'BAD', now(), 1)",
        api.app[RESOURCES].budget.account,
    )
    statuses = [
        (await say(api, root, method, f"/api/ops/{path}", json=body))[0]
        for method, path, body in (
            ("POST", "refresh", {"symbols": ["IBM"]}),
            ("POST", "hold", {"for": "24h"}),
            ("DELETE", "hold", None),
            ("PUT", "symbols/brk.b/pin", None),
            ("DELETE", "symbols/BRK-B/pin", None),
            ("DELETE", "symbols/bad/quarantine", None),
        )
    ]

    assert [202, 200, 200, 200, 200, 200] == statuses
    by = f"user:{root.id}"
    assert [
        ("refresh_queued", by, "job 1: 1 symbol"),
        ("calls_held", by, "for 86400 s"),
        ("calls_released", by, None),
        ("symbol_pinned", by, "BRK-B"),
        ("symbol_unpinned", by, "BRK-B"),
        ("quarantine_ended", by, "BAD"),
    ] == await acts(db)


async def test_an_act_has_the_id_of_its_request(api: Client, root: User, db: asyncpg.Pool) -> None:
    headers = root.headers | {"X-Request-ID": "abc"}
    await api.post("/api/ops/refresh", json={"symbols": ["IBM"]}, headers=headers)

    assert ["abc"] * 2 == [
        await db.fetchval("SELECT request_id FROM audit WHERE event = 'refresh_queued'"),
        await db.fetchval("SELECT request_id FROM refresh_jobs"),
    ]


async def test_a_refresh_wakes_a_worker_and_is_followed_to_its_end(api: Client, root: User, redis: Redis) -> None:
    answer = await api.post("/api/ops/refresh", json={"symbols": ["ibm", "NOSUCH"]}, headers=root.headers)
    queued, rung = await answer.json(), await redis.llen("celery:quotewell")
    await serve_all(api)
    status, report = await say(api, root, "GET", answer.headers["Location"])

    assert (202, 1, f"/api/ops/refresh/{queued['id']}") == (answer.status, rung, answer.headers["Location"])
    assert (False, 2) == (queued["done"], queued["waiting"])
    assert (200, True, 2, 1) == (status, report["done"], report["settled"], report["failed"])
    assert {"IBM": "ok", "NOSUCH": "no_data"} == {item["symbol"]: item["outcome"] for item in report["items"]}


async def test_all_and_stale_refresh_what_is_wanted(api: Client, root: User) -> None:
    await say(api, root, "PUT", "/api/ops/symbols/IBM/pin")
    await say(api, root, "POST", "/api/ops/refresh", json={"symbols": ["IBM"]})
    await serve_all(api)
    await say(api, root, "PUT", "/api/ops/symbols/ORCL/pin")
    _, every = await say(api, root, "POST", "/api/ops/refresh", json={"all": True})
    _, stale = await say(api, root, "POST", "/api/ops/refresh", json={"stale": True, "all": False})

    assert [["IBM", "ORCL"], ["ORCL"]] == [[item["symbol"] for item in job["items"]] for job in (every, stale)]


EITHER = r"expected one of symbols \(a list\), all \(true\) and stale \(true\)"
REFUSED: list[tuple[str, str, Json | None, int, str, str]] = [
    ("POST", "refresh", {"symbols": ["IBM", "NOSUCH"]}, 404, "unknown_symbol", "does not have NOSUCH; leave out"),
    ("POST", "refresh", {"symbols": ["A"] * 501}, 400, "invalid_request", "symbols: expected one list of 1 to 500"),
    ("POST", "refresh", {"symbols": []}, 400, "invalid_request", "symbols: expected one list of 1 to 500"),
    ("POST", "refresh", {"symbols": "IBM"}, 400, "invalid_request", "symbols: expected one list"),
    ("POST", "refresh", {"symbols": [None]}, 400, "invalid_request", "symbols: expected one list"),
    ("POST", "refresh", {"symbols": ["A B"]}, 400, "invalid_symbol", "expected a symbol of 1 to 20 characters"),
    ("POST", "refresh", {"symbols": ["A\x00"]}, 400, "invalid_symbol", "expected a symbol"),
    ("POST", "refresh", {}, 400, "invalid_request", EITHER),
    ("POST", "refresh", {"all": False}, 400, "invalid_request", EITHER),
    ("POST", "refresh", {"symbols": ["A"], "all": True}, 400, "invalid_request", EITHER),
    ("POST", "refresh", {"stale": True, "all": True}, 400, "invalid_request", EITHER),
    ("POST", "refresh", {"all": "yes"}, 400, "invalid_request", "all: expected true or false"),
    ("POST", "refresh", {"everything": True}, 400, "invalid_request", "everything"),
    ("GET", "refresh/999", None, 404, "not_found", "there is no job 999; expected"),
    ("GET", "refresh/IBM", None, 404, "not_found", "there is no job 'IBM'; expected"),
    ("GET", "refresh/9999999999999999999", None, 404, "not_found", "there is no job 9999999999999999999; expected"),
    ("GET", "refresh/%C2%B2", None, 404, "not_found", "there is no job '²'"),
    ("GET", "refresh/1?after=A%20B", None, 400, "invalid_symbol", "expected a symbol"),
    ("POST", "hold", {}, 400, "invalid_request", "for: expected a duration such as 24h"),
    ("POST", "hold", {"for": "a day"}, 400, "invalid_request", "for: expected a duration such as 24h"),
    ("POST", "hold", {"for": "0h"}, 400, "invalid_request", "for: expected a duration"),
    ("POST", "hold", {"for": 24}, 400, "invalid_request", "for: expected a duration"),
    ("GET", "symbols?only=old", None, 400, "invalid_request", "only: expected one of all, stale, .*, not 'old'"),
    ("GET", "symbols?sort=price", None, 400, "invalid_request", "sort: expected one of age, weight, symbol"),
    ("GET", "symbols?most=1001", None, 400, "invalid_request", "most: expected a whole number from 1 to 1000"),
    ("GET", "symbols?offset=-1", None, 400, "invalid_request", "offset: expected a whole number from 0"),
    ("GET", "calls?outcome=fine", None, 400, "invalid_request", "outcome: expected one of in_flight, ok"),
    ("GET", "calls?class=mine", None, 400, "invalid_request", "class: expected one of user, stranger, operator"),
    ("GET", "calls?most=501", None, 400, "invalid_request", "most: expected a whole number from 1 to 500"),
    ("GET", "calls?before=9223372036854775808", None, 400, "invalid_request", "before: expected a whole number"),
    ("GET", "calls?symbol=A%20B", None, 400, "invalid_symbol", "expected a symbol"),
    ("GET", "line?most=0", None, 400, "invalid_request", "most: expected"),
    ("GET", "audit?event=Pinned%00", None, 400, "invalid_request", "event: expected an event such as"),
    ("GET", "audit?actor=a%00", None, 400, "invalid_request", "actor: expected anybody, user:7 or"),
    ("GET", "audit?user=0", None, 400, "invalid_request", "user: expected a whole number"),
    ("GET", "status?a=1", None, 400, "invalid_request", "a: expected no parameter here"),
    ("DELETE", "symbols/IBM/quarantine", None, 404, "not_found", "IBM does not fail; expected"),
    ("DELETE", "symbols/A%20B/quarantine", None, 400, "invalid_symbol", "expected a symbol"),
    ("PUT", "symbols/NOSUCH/pin", None, 404, "unknown_symbol", "does not have NOSUCH; ask again"),
    ("DELETE", "symbols/IBM/pin", None, 404, "not_found", "IBM is not pinned; expected"),
    ("DELETE", "symbols/AAPL/pin", None, 400, "invalid_request", "AAPL is one of OVERVIEW_SYMBOLS, .*; take it out"),
]


async def test_each_refusal_is_a_sentence_that_says_what_to_do(api: Client, root: User, db: asyncpg.Pool) -> None:
    assert 404 == (await api.get("/api/stock/NOSUCH?wait=10")).status
    found = []
    for method, path, body, _, _, told in REFUSED:
        status, answer = await say(api, root, method, f"/api/ops/{path}", json=body)
        same = told if re.search(told, answer["error"]) else answer["error"]
        found.append((method, path, body, status, answer["code"], same))

    assert REFUSED == found
    assert ([], 0) == (await acts(db), await db.fetchval("SELECT count(*) FROM refresh_jobs"))


def wrong(method: str, path: str, response: ClientResponse, text: str) -> Iterator[tuple[str, str, str]]:
    yield from ((method, path, breach) for breach in breaches(method.lower(), path, response, text))


async def test_real_answers_are_as_documented(api: Client, root: User) -> None:
    found, different = [], []
    await api.get("/api/stock/IBM?wait=10")
    await api.get("/api/stock/NOSUCH?wait=10")
    bodies = {"/api/ops/refresh": {"symbols": ["IBM"]}, "/api/ops/hold": {"for": "1s"}}
    subjects = {"/api/ops/symbols/{symbol}/quarantine": "NOSUCH", "/api/ops/refresh/{job}": "1"}
    order = ["PUT", "POST", "GET", "DELETE"]
    for method, path in sorted(ROUTES, key=lambda route: order.index(route[0])):
        address = re.sub("{.*?}", subjects.get(path, "ORCL"), path)
        answer = await api.request(method, address, headers=root.headers, json=bodies.get(path))
        found.append(answer.status)
        different += list(wrong(method, path, answer, await answer.text()))

    assert {200, 202} == set(found)
    assert [] == different


def test_every_outcome_of_the_journal_can_be_asked_for() -> None:
    assert ("in_flight", *Outcome) == Ended.__args__  # type: ignore[attr-defined]


async def test_without_postgres_the_status_is_told_and_all_else_is_503(api: Client, root: User) -> None:
    assert api.app is not None
    await api.app[RESOURCES].db.close()
    found = {path: await say(api, root, "GET", path) for path in READS}
    status = found.pop("/api/ops/status")

    assert (200, "degraded", "disconnected", "connected") == (
        status[0],
        status[1]["status"],
        status[1]["database"],
        status[1]["redis"],
    )
    assert {(503, "store_unavailable")} == {(code, body["code"]) for code, body in found.values()}


async def test_filters_reach_the_journal_and_the_audit(api: Client, root: User) -> None:
    await api.get("/api/stock/IBM?wait=10")
    await say(api, root, "PUT", "/api/ops/symbols/IBM/pin")
    _, calls = await say(api, root, "GET", "/api/ops/calls?symbol=ibm&outcome=ok&class=trial&most=1")
    _, none = await say(api, root, "GET", "/api/ops/calls?symbol=ibm&outcome=no_data")
    _, audit = await say(api, root, "GET", f"/api/ops/audit?event=symbol_pinned&actor=user:{root.id}")

    assert [["IBM"]] == [call["subjects"] for call in calls["calls"]]
    assert (calls["calls"][0]["id"], []) == (calls["next"], none["calls"])
    assert ["IBM"] == [act["subject"] for act in audit["acts"]]
