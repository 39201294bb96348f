"""The nginx example in front of a running API: what it keeps, what it never keeps, what it lets through at once, whom it turns away."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from multidict import CIMultiDictProxy
from redis.asyncio import Redis

from common.process.ports import free_port
from common.store.market import feed
from tests.api.conftest import PASSWORD, a_quote
from tests.harness.polling import PATIENCE, eventually
from tests.harness.stack import Stack, open_stack

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed here (Debian: apt-get install nginx-light)"),
]
EXAMPLE = Path(__file__).parents[2] / "deploy/nginx/quotewell.conf"
ORIGINS = ("https://one.example", "https://two.example")
AROUND = """
{user}
pid {folder}/nginx.pid;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/quotewell.conf;
}}
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, read to its end."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def cache(self) -> str | None:
        return self.headers.get("X-Cache")

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Front:
    """nginx, and the processes behind it."""

    stack: Stack
    url: str

    async def ask(self, path: str, *, method: str = "GET", **more: Any) -> Answer:
        async with self.stack.http.request(method, f"{self.url}{path}", **more) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def register(self, name: str) -> dict[str, str]:
        """A new account; the header that its requests carry."""
        account = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        answer = await self.ask("/api/auth/register", method="POST", json=account)
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    async def caches(self, path: str) -> Answer:
        """The first answer from the cache."""

        async def hit() -> Answer | None:
            answer = await self.ask(path)
            return answer if answer.cache == "HIT" else None

        found: Answer = await eventually(hit, what=f"{path} is a hit")
        return found


def drop_in(folder: Path, replacements: dict[str, str]) -> Path:
    """The example with other places, and what nginx needs around it; the path of the whole."""
    text = EXAMPLE.read_text()
    for shipped, ours in replacements.items():
        assert 1 == text.count(shipped), shipped
        text = text.replace(shipped, ours)
    folder.mkdir()
    (folder / "quotewell.conf").write_text(text)
    whole = folder / "nginx.conf"
    whole.write_text(AROUND.format(folder=folder, user="user root;" if os.geteuid() == 0 else ""))
    return whole


@asynccontextmanager
async def open_nginx(stack: Stack, api: str, name: str, **replacements: str) -> AsyncIterator[Front]:
    """nginx with the example on a free port, in front of `host:port`; keywords are other rates."""
    port, folder = free_port(), stack.folder / name
    places = {
        "listen 80 default_server;": f"listen 127.0.0.1:{port};",
        "127.0.0.1:5001": api,
        "/var/cache/nginx/quotewell ": f"{folder}/cache ",
        "https://app.example.com": ORIGINS[0],
    }
    whole = drop_in(folder, {**places, **replacements})
    stack.start(name, [str(NGINX), "-e", "stderr", "-c", str(whole), "-g", "daemon off;"])
    front = Front(stack, f"http://127.0.0.1:{port}")

    async def answers() -> Answer:
        assert stack.processes[name].poll() is None, stack.log(name)
        return await front.ask("/")

    await eventually(answers, what="nginx answers")
    yield front
    stack.signal(name, signal.SIGTERM)
    stack.processes[name].wait(timeout=PATIENCE)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack() -> AsyncIterator[Stack]:
    async with open_stack("1000/4s") as opened:
        opened.env |= {
            "QUOTE_TTL": "5",
            "TRUSTED_PROXIES": "1",
            "CONNECTION_LIMIT": "10",
            "CORS_ORIGINS": ",".join(ORIGINS),
        }
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(stack: Stack) -> str:
    """Its host and port."""
    url = stack.start_api("api")
    await stack.serves(url)
    return url.removeprefix("http://")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(stack: Stack, api: str) -> AsyncIterator[Front]:
    async with open_nginx(stack, api, "nginx") as opened:
        yield opened


async def test_a_hot_quote_comes_from_the_cache_and_is_confirmed_by_its_etag(front: Front) -> None:
    first = await front.ask("/api/stock/AAPL?wait=15")
    again = await front.caches("/api/stock/AAPL")
    confirmed = await front.ask("/api/stock/AAPL", headers={"If-None-Match": again.headers["ETag"]})

    assert (200, "MISS") == (first.status, first.cache)
    assert "AAPL" == again.json()["symbol"]
    assert (304, "HIT", b"") == (confirmed.status, confirmed.cache, confirmed.body)
    assert first.headers["Cache-Control"].startswith("public, max-age=")
    assert (["public, no-cache"], None) == (again.headers.getall("Cache-Control"), again.headers.get("Age"))


async def test_an_answer_from_the_cache_has_the_id_of_its_own_request(front: Front) -> None:
    await front.ask("/api/stock/MSFT?wait=15")
    await front.caches("/api/stock/MSFT")
    offered = await front.ask("/api/stock/MSFT", headers={"X-Request-ID": "mine-1"})
    odd = await front.ask("/api/stock/MSFT", headers={"X-Request-ID": "not plain"})

    assert ["mine-1"] == offered.headers.getall("X-Request-ID")
    assert [32] == [len(each) for each in odd.headers.getall("X-Request-ID")]
    assert "RateLimit" not in offered.headers


async def test_a_request_id_goes_through_to_the_api(front: Front) -> None:
    answer = await front.ask("/api/watchlist", headers={"X-Request-ID": "mine-2"})

    assert (401, "mine-2") == (answer.status, answer.json()["request_id"])
    assert ["mine-2"] == answer.headers.getall("X-Request-ID")


async def test_an_old_answer_is_given_while_a_new_one_is_fetched(front: Front) -> None:
    await front.ask("/api/stock/IBM?wait=15")
    await front.caches("/api/stock/IBM")

    async def cache() -> bool:
        return (await front.ask("/api/stock/IBM")).cache == "STALE"

    await eventually(cache, what="the answer is over its age, and given still")
    await front.caches("/api/stock/IBM")


async def test_what_was_asked_with_a_token_is_neither_kept_nor_answered_from_the_cache(front: Front) -> None:
    token = await front.register("eve")
    path = "/api/stock/TSLA"
    private = [
        await front.ask(f"{path}?wait=15", headers=token),
        *[await front.ask(path, headers=token) for _ in range(2)],
    ]
    public = await front.ask(path)
    await front.caches(path)
    private.append(await front.ask(path, headers=token))

    assert [(200, "BYPASS")] * 4 == [(each.status, each.cache) for each in private]
    assert "MISS" == public.cache


async def test_two_users_never_see_each_others_watchlist(front: Front) -> None:
    seen = {}
    for name, symbol in (("ada", "NVDA"), ("bob", "AMZN")):
        token = await front.register(name)
        await front.ask("/api/watchlist", method="POST", json={"symbol": symbol}, headers=token)
        seen[symbol] = [await front.ask("/api/watchlist", headers=token) for _ in range(3)]
    nobody = await front.ask("/api/watchlist")

    for symbol, answers in seen.items():
        assert [[symbol]] * 3 == [answer.json()["watchlist"] for answer in answers]
        assert [(None, "no-store")] * 3 == [
            (answer.cache, *answer.headers.getall("Cache-Control")) for answer in answers
        ]
    assert 401 == nobody.status


async def test_a_failure_is_not_kept(front: Front) -> None:
    answers = [await front.ask("/api/stock/NOSUCHSYMBOL?wait=0") for _ in range(3)]

    assert {"MISS"} == {answer.cache for answer in answers}
    assert all(answer.status in (404, 503) and answer.json()["code"] for answer in answers)


async def test_each_origin_gets_the_answer_that_was_made_for_it(front: Front) -> None:
    await front.ask("/api/stock/META?wait=15")
    answers = [await front.ask("/api/stock/META", headers={"Origin": origin}) for origin in ORIGINS * 3]
    bare = await front.ask("/api/stock/META")

    assert [*ORIGINS * 3] == [answer.headers["Access-Control-Allow-Origin"] for answer in answers]
    assert "HIT" in {answer.cache for answer in answers}
    assert "Access-Control-Allow-Origin" not in bare.headers


async def a_block(response: aiohttp.ClientResponse) -> bytes:
    async with asyncio.timeout(PATIENCE):  # nothing is held back: nginx would until 4 KiB are full
        return await response.content.readuntil(b"\n\n")


async def until_told(response: aiohttp.ClientResponse, price: bytes) -> bool:
    while price not in await a_block(response):
        pass
    return True


@pytest.mark.parametrize("private", [False, True])
async def test_events_arrive_at_once(front: Front, private: bool) -> None:
    path, headers = "/api/stream?symbols=GOOGL", {}
    if private:
        headers = await front.register("cleo")
        await front.ask("/api/watchlist", method="POST", json={"symbol": "GOOGL"}, headers=headers)
        ticket = await front.ask("/api/auth/ticket", method="POST", headers=headers)
        path = f"/api/watchlist/stream?ticket={ticket.json()['ticket']}"
    price = "4243.5" if private else "4242.5"
    async with (
        front.stack.http.get(f"{front.url}{path}") as response,
        Redis.from_url(front.stack.redis.url(), decode_responses=True) as redis,
    ):
        assert b"retry" in await a_block(response)
        await feed.publish(redis, a_quote("GOOGL", price, age=-1 if private else 0))

        assert await until_told(response, price.encode())
    assert (200, "text/event-stream") == (response.status, response.content_type)


async def test_whoever_asks_too_often_is_told_so_with_429(stack: Stack, api: str) -> None:
    tight = {"rate=50r/s": "rate=1r/s", "burst=100": "burst=3"}
    async with open_nginx(stack, api, "tight", **tight) as front:
        page = {"Origin": ORIGINS[0]}
        answers = await asyncio.gather(*(front.ask("/api/market/overview", headers=page) for _ in range(20)))
    refused = [answer for answer in answers if answer.status == 429]

    assert {200, 429} == {answer.status for answer in answers}
    assert len(refused) >= 15
    assert {("rate_limited", "1", "no-store")} == {
        (answer.json()["code"], answer.headers["Retry-After"], answer.headers["Cache-Control"]) for answer in refused
    }
    assert refused[0].json()["request_id"] == refused[0].headers["X-Request-ID"]
    assert {(ORIGINS[0], "true")} == {
        (answer.headers.get("Access-Control-Allow-Origin"), answer.headers.get("Access-Control-Allow-Credentials"))
        for answer in answers
    }


async def test_whoever_holds_too_many_connections_is_told_so_with_429(stack: Stack, api: str) -> None:
    async with open_nginx(stack, api, "narrow", **{"quotewell_connections 100": "quotewell_connections 2"}) as front:
        path = f"{front.url}/api/stream?symbols=AAPL"
        async with front.stack.http.get(path) as first, front.stack.http.get(path) as second:
            refused = await front.ask("/api/market/overview")

        async def served() -> bool:
            return (await front.ask("/api/market/overview")).status == 200

        await eventually(served, what="a place is free again")

    assert [200, 200] == [first.status, second.status]
    assert (429, "rate_limited", "1") == (refused.status, refused.json()["code"], refused.headers["Retry-After"])


async def test_more_clients_than_one_peer_may_have_connections_are_served_through_nginx(front: Front) -> None:
    """The API runs with TRUSTED_PROXIES=1: all its connections are nginx's."""
    users = [await front.register(name) for name in ("fay", "gus")]
    path = f"{front.url}/api/stream?symbols=AAPL"
    async with AsyncExitStack() as stack:
        answers = [
            await stack.enter_async_context(front.stack.http.get(path, headers=headers))
            for headers in users
            for _ in range(20)
        ]
        more = await front.ask("/api/stream?symbols=AAPL", headers=users[0])
        live = await front.ask("/api/health/live")

    assert {200} == {answer.status for answer in answers}
    assert (429, "too_many_streams", 200) == (more.status, more.json()["code"], live.status)


async def test_a_forged_address_gives_no_further_tries(front: Front) -> None:
    content = {"username": "nobody-at-all", "password": "a wrong password"}
    statuses = [
        (
            await front.ask("/api/auth/login", method="POST", json=content, headers={"X-Forwarded-For": f"10.0.0.{n}"})
        ).status
        for n in range(11)
    ]

    assert [401] * 10 + [429] == statuses


async def test_without_an_api_the_answer_is_still_json(stack: Stack) -> None:
    async with open_nginx(stack, f"127.0.0.1:{free_port()}", "alone") as front:
        answer = await front.ask("/api/stock/AAPL", headers={"Origin": ORIGINS[1]})
        allowed = await front.ask("/api/stock/AAPL", headers={"Origin": ORIGINS[0]})

    assert (503, "overloaded", "2") == (answer.status, answer.json()["code"], answer.headers["Retry-After"])
    assert (None, ORIGINS[0]) == tuple(each.headers.get("Access-Control-Allow-Origin") for each in (answer, allowed))
    assert (None, "true") == tuple(each.headers.get("Access-Control-Allow-Credentials") for each in (answer, allowed))
