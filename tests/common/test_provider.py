"""The one door to the provider, over a real socket: what each end of a call is, what was written, and where the key never goes."""

import asyncio
import logging
import re
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aioresponses import aioresponses
from pytest_aiohttp.plugin import AiohttpServer

from common import provider as door
from common.core.limits import parse_limits
from common.core.models import Bar, CallClass, Function, Listed, Match, Price
from common.core.provider.alpha_vantage import Answer, Refusal
from common.core.provider.outcomes import Outcome
from common.provider import SIMULATOR, Permit, Provider, fetch, open_http
from common.store.budget.ledger import Grant
from simulator.app import create_app
from simulator.config import Config
from tests.harness.polling import BUSY, eventually

KEY = "SAMPLEKEY12345"
LIMITS = parse_limits("100000/1min", "limits")
GRANTED_AT = datetime(2026, 11, 20, 19, 0, tzinfo=UTC)
QUOTE_URL = re.compile(r"^http://provider\.test/query.*")


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_http() as session:
        yield session


@pytest.fixture
def provider(http: aiohttp.ClientSession, simulator: str) -> Provider:
    """The way to the simulator."""
    return Provider(http, simulator, KEY, timeout=10.0, source="simulated")


def permit(function: Function = Function.QUOTE, *subjects: str, age: float = 0.0) -> Permit:
    """A permit requested `age` seconds ago."""
    grant = Grant(1, function, subjects or ("IBM",), CallClass.USER, GRANTED_AT)
    return Permit(grant, time.monotonic() - age)


async def refused(provider: Provider, permit: Permit) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await fetch(provider, permit)
    return caught.value


async def break_calls(provider: Provider, kind: str, **fault: object) -> None:
    async with aiohttp.ClientSession(provider.base_url) as session:
        response = await session.put("/_fault", json={"kind": kind, **fault})
        assert response.status == 200


async def arrived(provider: Provider) -> list[dict[str, Any]]:
    """The calls that the simulator saw."""
    async with aiohttp.ClientSession(provider.base_url) as session:
        report: dict[str, Any] = await (await session.get("/_calls")).json()
    calls: list[dict[str, Any]] = report["calls"]
    return calls


async def served_by(
    aiohttp_server: AiohttpServer, answer: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> str:
    """The base URL of a provider that answers in its own way."""
    app = web.Application()
    app.router.add_get("/query", answer)
    app.router.add_get("/elsewhere", answer)
    server = await aiohttp_server(app)
    return str(server.make_url("")).rstrip("/")


@asynccontextmanager
async def silent_server() -> AsyncIterator[tuple[str, asyncio.Queue[tuple[bytes, bool]]]]:
    """The base URL of a provider that never answers; and how its connections end: what was written, and whether they were reset."""
    ends: asyncio.Queue[tuple[bytes, bool]] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        written, was_reset = b"", False
        try:
            while read := await reader.read(4096):
                written += read
        except ConnectionResetError:
            was_reset = True
        ends.put_nowait((written, was_reset))
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", ends


async def test_a_quote_is_fetched_with_one_call(provider: Provider) -> None:
    granted = permit()
    [price] = await fetch(provider, granted)

    assert isinstance(price, Price)
    assert (price.symbol, granted.sent) == ("IBM", True)
    assert [("GLOBAL_QUOTE", "IBM", "ok")] == [
        (call["function"], call["symbol"], call["outcome"]) for call in await arrived(provider)
    ]


@pytest.mark.parametrize(
    ("function", "subjects", "kind"),
    [
        (Function.QUOTE, ("BRK-B",), Price),
        (Function.BULK, ("IBM", "AAPL"), Price),
        (Function.SEARCH, ("micro",), Match),
        (Function.DAILY, ("IBM",), Bar),
        (Function.LISTING, ("",), Listed),
    ],
)
async def test_each_function_gives_its_values(
    aiohttp_server: AiohttpServer, provider: Provider, function: Function, subjects: tuple[str, ...], kind: type
) -> None:
    server = await aiohttp_server(create_app(Config(limits=LIMITS, entitled=True)))
    entitled = replace(provider, base_url=str(server.make_url("")).rstrip("/"))
    answer: Answer = await fetch(entitled, permit(function, *subjects))

    assert answer
    assert {kind} == {type(value) for value in answer}


@pytest.mark.parametrize("symbol", ["M&M.BSE", "CELG^", "OPFI+", "BC/PB", "GAB-P-G:BAT", "A=B", "^GSPC"])
async def test_a_hostile_symbol_arrives_as_it_was_asked_for(provider: Provider, symbol: str) -> None:
    await asyncio.gather(fetch(provider, permit(Function.QUOTE, symbol)), return_exceptions=True)

    assert [symbol] == [call["symbol"] for call in await arrived(provider)]


@pytest.mark.parametrize("keywords", ["a%b", "a%26b", "a b&c=d#e?f", "é日本", "100%"])
async def test_keywords_reach_the_provider_unchanged(
    aiohttp_server: AiohttpServer, provider: Provider, keywords: str
) -> None:
    asked: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(dict(request.query))
        return web.json_response({"bestMatches": []}, headers={SIMULATOR: "1"})

    own = replace(provider, base_url=await served_by(aiohttp_server, answer))
    await fetch(own, permit(Function.SEARCH, keywords))

    assert asked == [{"function": "SYMBOL_SEARCH", "keywords": keywords, "apikey": KEY}]


@pytest.mark.parametrize("entitlement", ["", "realtime", "delayed"])
async def test_a_call_for_prices_carries_the_entitlement_of_the_plan(
    aiohttp_server: AiohttpServer, provider: Provider, entitlement: str
) -> None:
    asked: dict[str, str] = {}

    async def answer(request: web.Request) -> web.StreamResponse:
        asked[request.query["function"]] = request.query.get("entitlement", "")
        return web.json_response({}, headers={SIMULATOR: "1"})

    own = replace(provider, base_url=await served_by(aiohttp_server, answer), entitlement=entitlement)
    for function in Function:
        await refused(own, permit(function))

    priced = (Function.QUOTE, Function.BULK, Function.DAILY)
    assert {function: entitlement if function in priced else "" for function in Function} == asked


@pytest.mark.parametrize(
    ("status", "headers", "wait"),
    [
        (429, {"Retry-After": "30"}, 30),
        (429, {}, None),
        (429, {"Date": "Fri, 27 Nov 2026 19:00:00 GMT", "Retry-After": "Fri, 27 Nov 2026 19:05:00 GMT"}, 300),
    ],
)
async def test_a_status_that_throttles_says_for_how_long(
    aiohttp_server: AiohttpServer, provider: Provider, status: int, headers: dict[str, str], wait: int | None
) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers=headers, body=b"x" * (2 << 20))

    own = replace(provider, base_url=await served_by(aiohttp_server, answer))
    refusal = await refused(own, permit())

    assert Outcome.THROTTLED_MINUTE == refusal.outcome
    assert (None if wait is None else timedelta(seconds=wait)) == refusal.wait


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("notice:throttled_second", Outcome.THROTTLED_SECOND),
        ("notice:throttled_burst", Outcome.THROTTLED_SECOND),
        ("notice:throttled_minute", Outcome.THROTTLED_MINUTE),
        ("notice:throttled_minute_premium", Outcome.THROTTLED_MINUTE),
        ("notice:not_entitled", Outcome.NOT_ENTITLED),
        ("notice:bad_key", Outcome.BAD_KEY),
        ("notice:demo_key", Outcome.BAD_KEY),
        ("notice:day_used_up", Outcome.DAY_USED_UP),
        ("notice:bad_request", Outcome.BAD_REQUEST),
        ("notice:unknown_notice", Outcome.UNKNOWN_NOTICE),
        ("http_503", Outcome.UNAVAILABLE),
        ("html_200", Outcome.UNAVAILABLE),
        ("truncated", Outcome.UNAVAILABLE),
        ("garbage", Outcome.UNAVAILABLE),
        ("huge", Outcome.UNAVAILABLE),
        ("reset", Outcome.UNAVAILABLE),
        ("cut_off", Outcome.UNAVAILABLE),
        ("empty_object", Outcome.NO_DATA),
        ("null_price", Outcome.NO_DATA),
        ("zero_price", Outcome.NO_DATA),
    ],
)
async def test_each_way_to_fail_has_its_outcome_costs_one_call_and_hides_the_key(
    provider: Provider, caplog: pytest.LogCaptureFixture, kind: str, outcome: Outcome
) -> None:
    caplog.set_level(logging.DEBUG)
    await break_calls(provider, kind)
    granted = permit()
    refusal = await refused(provider, granted)
    written = [str(refusal), repr(refusal), *traceback.format_exception(refusal), *caplog.messages]

    assert (outcome, True) == (refusal.outcome, granted.sent)
    assert [f"fault:{kind}"] == [call["outcome"] for call in await arrived(provider)]
    assert KEY not in "\n".join(written)


async def test_the_daily_notice_does_echo_the_key(provider: Provider) -> None:
    await break_calls(provider, "notice:day_used_up")
    async with aiohttp.ClientSession(provider.base_url) as session:
        body = await (await session.get("/query", params={"apikey": KEY})).text()

    assert KEY in body  # or the test above could not fail


@pytest.mark.parametrize("before", [0, 40, 290, 295])
async def test_a_notice_that_nobody_knows_is_kept_for_the_log_without_the_key_that_it_echoes(
    aiohttp_server: AiohttpServer, provider: Provider, before: int
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        text = "x" * before + request.query["apikey"] + " was seen moving house"
        return web.json_response({"Information": text}, headers={SIMULATOR: "1"})

    own = replace(provider, base_url=await served_by(aiohttp_server, answer))
    refusal = await refused(own, permit())

    assert Outcome.UNKNOWN_NOTICE == refusal.outcome
    assert refusal.notice.startswith("x" * before + "***")
    assert "SAMP" not in refusal.notice


@pytest.mark.parametrize("function", [Function.QUOTE, Function.DAILY, Function.BULK, Function.SEARCH, Function.LISTING])
async def test_a_call_over_the_limit_is_told_by_every_function(
    aiohttp_server: AiohttpServer, provider: Provider, function: Function
) -> None:
    server = await aiohttp_server(create_app(Config(limits=parse_limits("1/1min", "limits"))))
    strict = replace(provider, base_url=str(server.make_url("")).rstrip("/"))
    await fetch(strict, permit())
    refusal = await refused(strict, permit(function, "IBM"))

    spelt = Outcome.UNKNOWN_NOTICE if function is Function.LISTING else Outcome.THROTTLED_MINUTE
    assert spelt == refusal.outcome


@pytest.mark.parametrize(
    ("form", "outcome"),
    [
        ("empty_quote", Outcome.NO_DATA),
        ("empty_object", Outcome.NO_DATA),
        ("error_message", Outcome.BAD_REQUEST),
    ],
)
async def test_an_unknown_symbol_is_known_by_each_of_its_forms(
    aiohttp_server: AiohttpServer, provider: Provider, form: str, outcome: Outcome
) -> None:
    server = await aiohttp_server(create_app(Config(limits=LIMITS, unknown=form)))
    other = replace(provider, base_url=str(server.make_url("")).rstrip("/"))

    assert outcome == (await refused(other, permit(Function.QUOTE, "NOPE"))).outcome


async def test_a_key_without_the_right_to_bulk_quotes_gets_none_of_the_artificial_ones(provider: Provider) -> None:
    assert Outcome.NOT_ENTITLED == (await refused(provider, permit(Function.BULK, "MSFT", "AAPL"))).outcome


@pytest.mark.parametrize("kind", ["hang", "drip"])
async def test_a_provider_that_does_not_finish_is_given_up_within_the_timeout(provider: Provider, kind: str) -> None:
    await break_calls(provider, kind, delay=0.05)
    granted, start = permit(), time.monotonic()
    refusal = await refused(replace(provider, timeout=0.3), granted)

    assert time.monotonic() - start < 5 + BUSY
    assert (Outcome.UNAVAILABLE, True) == (refusal.outcome, granted.sent)
    assert 1 == len(await arrived(provider))


async def test_no_answer_is_awaited_past_the_lease(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "ANSWER_TIMEOUT", 1.3)  # seconds; the real 11.5 would take as long
    await break_calls(provider, "hang")
    start = time.monotonic()
    refusal = await refused(replace(provider, timeout=10.0), permit(age=1.0))

    assert time.monotonic() - start < 5 + BUSY
    assert Outcome.UNAVAILABLE == refusal.outcome


async def test_a_connection_that_is_given_up_is_reset(provider: Provider) -> None:
    """Otherwise the kernel sends a lost request again and again, and it arrives after its slot's end."""
    async with silent_server() as (url, ends):
        refusal = await refused(replace(provider, base_url=url, timeout=0.5), permit())
        written, was_reset = await ends.get()

    assert Outcome.UNAVAILABLE == refusal.outcome
    assert written.startswith(b"GET /query")
    assert was_reset


def test_the_deadlines_lie_within_the_lease() -> None:
    assert door.WRITE_TIMEOUT < door.ANSWER_TIMEOUT < 12
    assert door.CONNECT_TIMEOUT < door.WRITE_TIMEOUT


async def test_where_nobody_listens_nothing_was_sent(provider: Provider, unused_tcp_port: int) -> None:
    granted = permit()
    refusal = await refused(replace(provider, base_url=f"http://127.0.0.1:{unused_tcp_port}"), granted)

    assert (Outcome.UNSENT, False) == (refusal.outcome, granted.sent)
    assert "127.0.0.1" not in str(refusal)


@pytest.mark.parametrize("age", [7.1, 11.0, 13.0, 3600.0])
async def test_a_permit_past_its_deadline_writes_nothing(provider: Provider, age: float) -> None:
    granted = permit(age=age)
    refusal = await refused(provider, granted)

    assert (Outcome.UNSENT, False) == (refusal.outcome, granted.sent)
    assert [] == await arrived(provider)


async def test_a_permit_past_its_deadline_leaves_no_connection_open(http: aiohttp.ClientSession) -> None:
    async with silent_server() as (url, ends):
        await refused(Provider(http, url, KEY, 2.0, "simulated"), permit(age=7.1))
        written, _ = await ends.get()

    assert written == b""


async def test_a_permit_just_before_its_deadline_is_used(provider: Provider) -> None:
    assert await fetch(provider, permit(age=5.0))


async def test_an_answer_is_read_up_to_a_megabyte(aiohttp_server: AiohttpServer, provider: Provider) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        filler = "x" * (int(request.query["symbol"]) - len('{"filler": ""}'))
        return web.json_response({"filler": filler}, headers={SIMULATOR: "1"})

    own = replace(provider, base_url=await served_by(aiohttp_server, answer))
    most = await refused(own, permit(Function.QUOTE, str(1 << 20)))
    more = await refused(own, permit(Function.QUOTE, str((1 << 20) + 1)))

    assert (Outcome.NO_DATA, Outcome.UNAVAILABLE) == (most.outcome, more.outcome)
    assert str(more) == "expected at most 1048576 bytes"


async def test_a_small_answer_that_unpacks_to_a_huge_one_is_refused(
    aiohttp_server: AiohttpServer, provider: Provider
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.Response(body=b" " * (32 << 20), headers={SIMULATOR: "1"})
        response.enable_compression(web.ContentCoding.gzip)
        return response

    own = replace(provider, base_url=await served_by(aiohttp_server, answer))

    assert str(await refused(own, permit())) == "expected at most 1048576 bytes"


async def test_a_listing_may_be_larger_than_other_answers(aiohttp_server: AiohttpServer, provider: Provider) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        head = "symbol,name,exchange,assetType,ipoDate,delistingDate,status\r\n"
        rows = "".join(f"S{n},{'x' * 100},NYSE,Stock,2000-01-03,null,Active\r\n" for n in range(13_000))
        return web.Response(text=head + rows, headers={SIMULATOR: "1"})

    own = replace(provider, base_url=await served_by(aiohttp_server, answer))

    assert len(await fetch(own, permit(Function.LISTING, ""))) == 13_000


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(aiohttp_server: AiohttpServer, provider: Provider, status: int) -> None:
    paths: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        paths.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere", SIMULATOR: "1"})

    own = replace(provider, base_url=await served_by(aiohttp_server, answer))
    refusal = await refused(own, permit())

    assert Outcome.UNAVAILABLE == refusal.outcome
    assert paths == ["/query"]


@pytest.mark.parametrize("kind", ["reset", "cut_off"])
async def test_a_dropped_connection_is_not_tried_again_even_after_a_good_call(provider: Provider, kind: str) -> None:
    await fetch(provider, permit())
    await break_calls(provider, kind, count=1)
    await refused(provider, permit())

    assert ["ok", f"fault:{kind}"] == [call["outcome"] for call in await arrived(provider)]


async def test_every_call_has_a_connection_of_its_own_asks_for_json_and_keeps_no_cookie(
    aiohttp_server: AiohttpServer, provider: Provider
) -> None:
    seen: list[tuple[object, str, str, str | None]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peer = request.transport.get_extra_info("peername")
        cookie = request.headers.get("Cookie")
        seen.append((peer, request.headers["Accept"], request.headers["User-Agent"], cookie))
        response = web.json_response({}, headers={SIMULATOR: "1"})
        response.set_cookie("tracker", "1")
        return response

    url = (await served_by(aiohttp_server, answer)).replace("127.0.0.1", "localhost")  # an address gets no cookies
    own = replace(provider, base_url=url)
    for function in (Function.QUOTE, Function.DAILY, Function.LISTING):
        await refused(own, permit(function, "IBM"))

    assert ["application/json", "application/json", "*/*"] == [accept for _, accept, _, _ in seen]
    assert {("quotewell", None)} == {(agent, cookie) for _, _, agent, cookie in seen}
    assert 3 == len({peer for peer, _, _, _ in seen})


@pytest.mark.parametrize(("source", "marked"), [("alphavantage", True), ("simulated", False)])
async def test_simulated_prices_are_never_taken_for_real_ones_nor_the_reverse(
    aiohttp_server: AiohttpServer, provider: Provider, source: str, marked: bool
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        row = {"01. symbol": "IBM", "05. price": "133.69", "07. latest trading day": "2026-11-20"}
        return web.json_response({"Global Quote": row}, headers={SIMULATOR: "1"} if marked else {})

    url = await served_by(aiohttp_server, answer)
    mismatched = replace(provider, base_url=url, source=source)
    fitting = replace(provider, base_url=url, source="simulated" if marked else "alphavantage")

    assert Outcome.BAD_KEY == (await refused(mismatched, permit())).outcome
    assert 1 == len(await fetch(fitting, permit()))


async def test_a_good_answer_that_repeats_the_key_is_refused(aiohttp_server: AiohttpServer, provider: Provider) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        row = {"01. symbol": "IBM", "05. price": "133.69", "07. latest trading day": "2026-11-20"}
        return web.json_response({"Global Quote": row, "asked": str(request.url)})

    own = replace(provider, base_url=await served_by(aiohttp_server, answer), source="alphavantage")
    refusal = await refused(own, permit())

    assert Outcome.UNKNOWN_NOTICE == refusal.outcome
    assert KEY not in str(refusal) + refusal.notice


def test_the_key_is_not_in_the_providers_repr(http: aiohttp.ClientSession) -> None:
    shown = repr(Provider(http, "http://provider.test", KEY, 2.0, "simulated"))

    assert "http://provider.test" in shown
    assert KEY not in shown


@pytest.mark.parametrize(
    "error",
    [
        aiohttp.ServerDisconnectedError(f"GET /query?apikey={KEY}"),
        aiohttp.ClientPayloadError(f"apikey={KEY}"),
        aiohttp.ClientOSError(104, f"reset while sending apikey={KEY}"),
        aiohttp.InvalidURL(f"http://provider.test/query?apikey={KEY}"),
        aiohttp.ClientError(f"apikey={KEY}"),
        ConnectionResetError(f"apikey={KEY}"),
        TimeoutError(f"apikey={KEY}"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_the_text_of_a_transport_error_goes_nowhere(
    http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    caplog.set_level(logging.DEBUG)
    faked = Provider(http, "http://provider.test", KEY, 2.0, "alphavantage")
    sent = permit()
    sent.sent = True  # as it is once the connection stands, which is not made here
    with aioresponses() as responses:
        responses.get(QUOTE_URL, exception=error)
        refusal = await refused(faked, sent)
    written = [repr(refusal), *traceback.format_exception(refusal), *caplog.messages]

    assert (Outcome.UNAVAILABLE, f"the call failed: {type(error).__name__}") == (refusal.outcome, str(refusal))
    assert KEY not in "\n".join(written)


async def test_what_fails_before_the_connection_stands_was_not_sent(http: aiohttp.ClientSession) -> None:
    faked = Provider(http, "http://provider.test", KEY, 2.0, "alphavantage")
    with aioresponses() as responses:
        responses.get(QUOTE_URL, exception=aiohttp.ConnectionTimeoutError())
        refusal = await refused(faked, permit())

    assert Outcome.UNSENT == refusal.outcome


async def test_a_call_that_is_given_up_from_outside_stays_marked_as_sent(provider: Provider) -> None:
    await break_calls(provider, "hang")
    granted = permit()
    call = asyncio.create_task(fetch(provider, granted))

    async def has_arrived() -> bool:
        return 1 == len(await arrived(provider))

    await eventually(has_arrived)
    call.cancel()
    await asyncio.wait({call})

    assert (True, True) == (call.cancelled(), granted.sent)
