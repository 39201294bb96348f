"""How often a client may ask, and what it is told of it."""

import re

import pytest
from aiohttp import ClientResponse

from api.http import rate_limits
from api.http.rate_limits import MINUTE, Allowance, Standing
from api.quotes.memory import MEMORY
from common.core.limits import parse_limits
from tests.api.conftest import PASSWORD, Client, OpenApi, User, followed, register
from tests.harness.polling import eventually

NOWHERE = "/api/nothing"
POLICY = '"requests";q={};w=60'


def test_a_client_has_its_quota_and_no_more_until_its_minute_is_over() -> None:
    counted = Allowance("requests", 2)

    assert Standing("requests", 2, 1, 60) == counted.count("ada", 100.0)
    assert Standing("requests", 2, 0, 31) == counted.count("ada", 129.5)
    assert Standing("requests", 2, -1, 1) == counted.count("ada", 159.9)
    assert Standing("requests", 2, 1, 60) == counted.count("ada", 160.0)


def test_a_client_takes_nothing_from_another() -> None:
    counted = Allowance("requests", 2)
    for _ in range(5):
        counted.count("ada", 0.0)

    assert 1 == counted.count("bob", 0.0).left


def test_a_minute_that_is_over_takes_no_memory() -> None:
    counted = Allowance("requests", 2)
    for number in range(1000):
        counted.count(f"address {number}", number / 100)
    counted.count("late", 9.99 + MINUTE)

    assert ["late"] == list(counted._windows)


def test_clients_beyond_all_measure_take_no_memory_and_are_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "MAX_CLIENTS", 2)
    counted = Allowance("requests", 1)
    left = [counted.count(client, 0.0).left for client in ("a", "b", "c", "c", "a", "b")]

    assert [0, 0, 0, 0, -1, -1] == left
    assert ["a", "b"] == list(counted._windows)


def told(answer: ClientResponse) -> tuple[str, int]:
    """The policy of an answer and what is left; that the time makes sense is seen to."""
    match = re.fullmatch(r'"requests";r=(\d+);t=(\d+)', answer.headers["RateLimit"])
    assert match is not None
    assert 1 <= int(match[2]) <= MINUTE
    return answer.headers["RateLimit-Policy"], int(match[1])


async def test_past_its_allowance_an_address_is_refused(open_api: OpenApi) -> None:
    api = await open_api(client_limit=3)
    answers = [await api.get(NOWHERE, headers={"X-Forwarded-For": f"10.0.0.{number}"}) for number in range(5)]
    body = await answers[-1].json()

    assert [404, 404, 404, 429, 429] == [answer.status for answer in answers]
    assert [(POLICY.format(3), left) for left in (2, 1, 0, 0, 0)] == [told(answer) for answer in answers]
    assert {"error", "code", "request_id", "retry_after"} == set(body)
    assert ("rate_limited", "expected at most 3 requests a minute") == (body["code"], body["error"])
    assert str(body["retry_after"]) == answers[-1].headers["Retry-After"]
    assert 1 <= body["retry_after"] <= MINUTE
    assert "no-store" == answers[-1].headers["Cache-Control"]


async def test_behind_a_proxy_each_address_has_its_own(open_api: OpenApi) -> None:
    api = await open_api(client_limit=1, trusted_proxies=1)
    senders = ["1.2.3.4", "1.2.3.5", "9.9.9.9, 1.2.3.4", "2001:db8::1", "2001:db8::2"]
    statuses = [(await api.get(NOWHERE, headers={"X-Forwarded-For": sender})).status for sender in senders]

    assert [404, 404, 429, 404, 429] == statuses


async def test_a_user_is_counted_apart_from_the_address_and_from_others(open_api: OpenApi) -> None:
    api = await open_api(client_limit=3)
    ada, bob = await register(api, "ada"), await register(api, "bob")
    ada_is_told = [(await api.get("/api/auth/me", headers=ada.headers)).status for _ in range(4)]

    assert [200, 200, 200, 429] == ada_is_told
    assert (POLICY.format(3), 2) == told(await api.get("/api/auth/me", headers=bob.headers))
    assert (POLICY.format(3), 0) == told(await api.get("/api/auth/me"))


async def test_a_bad_token_counts_for_its_address(open_api: OpenApi) -> None:
    api = await open_api(client_limit=2)
    sent = [{"Authorization": f"Bearer {number}"} for number in range(3)]
    statuses = [(await api.get("/api/auth/me", headers=headers)).status for headers in sent]

    assert [401, 401, 429] == statuses
    assert 429 == (await api.get(NOWHERE)).status


async def test_what_is_refused_counts_for_its_user_too(open_api: OpenApi) -> None:
    api = await open_api(client_limit=2)
    ada = await register(api, "ada")
    statuses = [(await api.get("/api/auth/me", headers=ada.headers | {"Accept": "text/csv"})).status for _ in range(3)]

    assert [406, 406, 429] == statuses


async def test_searches_have_an_allowance_of_their_own(open_api: OpenApi) -> None:
    api = await open_api(client_limit=100, search_limit=2)
    answers = [await api.get(f"/api/search/%01{number}") for number in range(3)]

    assert [400, 400, 429] == [answer.status for answer in answers]
    assert '"requests";q=100;w=60, "searches";q=2;w=60' == answers[0].headers["RateLimit-Policy"]
    assert '"requests";r=99;t=60, "searches";r=1;t=60' == answers[0].headers["RateLimit"]
    assert "expected at most 2 searches a minute" == (await answers[2].json())["error"]
    assert (POLICY.format(100), 96) == told(await api.get(NOWHERE))


async def test_what_is_ready_is_given_to_everybody(open_api: OpenApi) -> None:
    api = await open_api(client_limit=1)
    await eventually(lambda: followed(api))
    await api.get("/api/stock/AAPL?wait=10")
    answers = [await api.get("/api/stock/AAPL") for _ in range(3)]

    assert api.app is not None
    assert api.app[MEMORY].answers.last("/api/stock/AAPL") is not None
    assert [200] * 3 == [answer.status for answer in answers]
    assert [False] * 3 == ["RateLimit" in answer.headers for answer in answers]
    assert 429 == (await api.get("/api/stock/AAPL?wait=0")).status


@pytest.mark.parametrize("path", ["/api/health", "/api/health/live", "/api/health/ready"])
async def test_probes_are_never_told_to_stop(open_api: OpenApi, path: str) -> None:
    api = await open_api(client_limit=1)
    await api.get(NOWHERE)
    answers = [await api.get(path) for _ in range(3)]

    assert [200] * 3 == [answer.status for answer in answers]
    assert "RateLimit" not in answers[0].headers


async def test_a_path_that_looks_like_a_probe_counts(open_api: OpenApi) -> None:
    api = await open_api(client_limit=1)

    assert [404, 429] == [(await api.get("/api/health/other")).status for _ in range(2)]


async def test_preflights_do_not_count(open_api: OpenApi) -> None:
    api = await open_api(client_limit=1)
    asked = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "GET"}
    statuses = [(await api.options("/api/auth/me", headers=asked)).status for _ in range(3)]

    assert [204] * 3 == statuses
    assert 404 == (await api.get(NOWHERE)).status


@pytest.mark.parametrize(
    ("method", "path", "sent", "status"),
    [
        ("GET", "/api/auth/me", {}, 200),
        ("POST", "/api/watchlist", {"json": {"symbol": "IBM"}}, 201),
        ("GET", "/api/stock/A%20B", {}, 400),
        ("GET", "/api/watchlist", {"headers": {"Authorization": "Bearer x"}}, 401),
        ("GET", NOWHERE, {}, 404),
        ("PATCH", "/api/auth/me", {}, 405),
        ("GET", "/api/stocks?symbols=A", {"headers": {"Accept": "text/csv"}}, 406),
        ("POST", "/api/auth/logout", {"data": b"a" * 70_000, "headers": {"Content-Type": "application/json"}}, 413),
        ("POST", "/api/auth/logout", {"data": b"a"}, 415),
        ("GET", "/api/stock/ORCL?wait=0", {}, 503),
    ],
)
async def test_an_answer_for_one_client_tells_how_its_client_stands(
    api: Client, ada: User, method: str, path: str, sent: dict[str, object], status: int
) -> None:
    answer = await api.request(method, path, **{"headers": ada.headers, **sent})  # type: ignore[arg-type]

    assert status == answer.status
    assert (POLICY.format(60_000), True) == (told(answer)[0], told(answer)[1] > 0)


async def test_an_answer_that_caches_may_keep_names_no_limits(open_api: OpenApi) -> None:
    """They would be those of whoever asked first."""
    api = await open_api(client_limit=30)
    await api.get("/api/stock/AAPL?wait=10")
    await api.get("/api/stock/AAPL/chart?wait=10")
    paths = ["/", "/ops", "/api/docs", "/api/openapi.json", "/api/market/overview", "/api/search/apple"]
    paths += ["/api/stock/AAPL?wait=0", "/api/stock/AAPL/chart", "/api/stock/AAPL/history", "/api/stocks?symbols=AAPL"]
    headers = [{"Origin": "https://app.example.com"}, {"If-None-Match": "*"}]
    answers = [await api.get(path, headers=sent) for path in paths for sent in headers]
    async with api.get("/api/stream?symbols=AAPL") as stream:
        answers.append(stream)
    while (refused := await api.get("/api/stock/AAPL?wait=0")).status != 429:
        assert 200 == refused.status

    assert {200, 304} == {answer.status for answer in answers}
    assert [] == [answer.url.path for answer in answers if {"RateLimit", "RateLimit-Policy"} & set(answer.headers)]
    assert 1 <= int(refused.headers["Retry-After"]) <= MINUTE
    assert (POLICY.format(30), 0) == told(refused)


async def test_passwords_count_for_the_address_whoever_sends_them(open_api: OpenApi) -> None:
    api = await open_api(login_limit=3)
    ada = await register(api, "ada")
    login = {"username": "ada", "password": PASSWORD}
    answers = [await api.post("/api/auth/login", json=login, headers=ada.headers) for _ in range(3)]

    assert [200, 200, 429] == [answer.status for answer in answers]
    assert '"requests";q=60000;w=60, "logins";q=3;w=60' == answers[0].headers["RateLimit-Policy"]
    assert 200 == (await api.get("/api/auth/me", headers=ada.headers)).status


async def test_the_fourth_symbol_without_a_quote_is_too_many_for_a_minute(open_api: OpenApi) -> None:
    api = await open_api(limits=parse_limits("1/1min", "limits"))
    answers = [await api.get(f"/api/stock/{symbol}?wait=0") for symbol in ("A", "B", "C", "D")]
    body = await answers[-1].json()

    assert [503, 503, 503, 429] == [answer.status for answer in answers]
    assert ("rate_limited", 60, "60") == (body["code"], body["retry_after"], answers[-1].headers["Retry-After"])
    assert {"error", "code", "request_id", "retry_after"} == set(body)
    assert POLICY.format(60_000) == told(answers[-1])[0]
