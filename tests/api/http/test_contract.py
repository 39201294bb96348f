"""The document says what the code does: every route is in it, real answers have its shapes, and its page needs nobody else."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from aiohttp import ClientResponse, web
from hypothesis import example, given
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator, oas31_format_checker
from openapi_spec_validator import validate
from yarl import URL

from api.app import create_app
from api.http.requests import properties
from api.openapi import HEADERS, describe
from api.operations import operations
from api.quotes.symbols import SymbolsQuery
from common.core.limits import parse_limits
from common.core.symbols import normalize_symbol
from common.errors import InvalidSymbol
from common.process.settings import Settings
from tests.api.conftest import PASSWORD, Client, OpenApi, User, register, register_operator

Json = dict[str, Any]
ADDED = {
    "/api/auth/me/export",
    "/api/auth/sessions",
    "/api/docs",
    "/api/health/live",
    "/api/health/ready",
    "/api/openapi.json",
    "/api/stocks",
    "/api/stream",
}
ADDED |= {"/api/stock/{symbol}/history", "/api/watchlist/export", "/api/watchlist/stream"}
ADDED |= {
    f"/api/ops/{name}" for name in ("status", "budget", "symbols", "calls", "line", "audit", "users", "refresh/{job}")
}
PROVED_OTHERWISE = {"/api/watchlist/stream"}  # public to the router: its ticket is what is asked for


def offline() -> web.Application:
    """An application that is not started; its routes are there."""
    env = {"QUOTEWELL_ENV": "testing", "DATABASE_URL": "postgres://nowhere", "REDIS_URL": "redis://nowhere"}
    return create_app(Settings.from_env(env, serves_tokens=True))


ROUTER = offline().router
DOCUMENT = describe(ROUTER)
OPERATIONS = {(operation.method, operation.path): operation for operation in operations(ROUTER)}


def test_the_document_is_openapi() -> None:
    validate(DOCUMENT)

    assert "3.1.0" == DOCUMENT["openapi"]


def test_every_route_is_documented_and_every_documented_route_is_there() -> None:
    routes = {
        (route.method.lower(), route.resource.canonical)
        for route in ROUTER.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    documented = {(method, path) for path, methods in DOCUMENT["paths"].items() for method in methods}

    assert routes == documented


def test_every_name_of_an_operation_is_its_own() -> None:
    names = [one["operationId"] for methods in DOCUMENT["paths"].values() for one in methods.values()]

    assert len(set(names)) == len(names)


def test_every_field_of_a_request_says_what_is_expected() -> None:
    kinds = [kind for one in OPERATIONS.values() for kind in (one.contract.query, one.contract.body) if kind]

    assert [] == [(kind, name) for kind in kinds for name, schema in properties(kind).items() if "title" not in schema]


PATTERN = properties(SymbolsQuery)["symbols"]["items"]["pattern"]


@given(st.text(st.sampled_from("aZ0^.&+:=/- ,;\né")) | st.from_regex(PATTERN))
@example("A" * 20)
@example("A" * 21)
def test_the_documented_pattern_is_what_a_symbol_is_judged_by(text: str) -> None:
    try:
        normalize_symbol(text)
        judged = True
    except InvalidSymbol:
        judged = False

    assert (re.search(PATTERN.replace("$", r"\Z"), text.strip(" ")) is not None) == judged


# operation, what is sent, the status and code that are to come
Call = tuple[str, str, str, Json, int, str | None]
TOKEN: Json = {"token": "ada"}
OPS: Json = {"token": "operator"}
BOB: Json = {"token": "bob"}  # whose logins end
CALLS: list[Call] = [
    ("post", "/api/auth/register", "", {"json": {"username": "max", "email": "b@c", "password": PASSWORD}}, 201, None),
    ("post", "/api/auth/register", "", {"json": {}}, 400, "invalid_request"),
    (
        "post",
        "/api/auth/register",
        "",
        {"json": {"username": "ada", "email": "x@y", "password": PASSWORD}},
        409,
        "username_taken",
    ),
    (
        "post",
        "/api/auth/register",
        "",
        {"json": {"username": "eve", "email": "ada@example.com", "password": PASSWORD}},
        409,
        "email_taken",
    ),
    (
        "post",
        "/api/auth/register",
        "",
        {"data": b"{}", "headers": {"Content-Type": "text/plain"}},
        415,
        "unsupported_media_type",
    ),
    ("post", "/api/auth/login", "", {"json": {"username": "ada", "password": PASSWORD}}, 200, None),
    ("post", "/api/auth/login", "", {"json": {"username": "ada", "password": "wrong"}}, 401, "invalid_credentials"),
    (
        "post",
        "/api/auth/login",
        "",
        {"json": {"username": "a" * 70_000, "password": "wrong"}},
        413,
        "payload_too_large",
    ),
    ("get", "/api/auth/me", "", TOKEN, 200, None),
    ("get", "/api/auth/me", "", {}, 401, "invalid_token"),
    ("get", "/api/auth/me/export", "", TOKEN, 200, None),
    ("get", "/api/auth/me/export", "", {}, 401, "invalid_token"),
    ("post", "/api/auth/ticket", "", TOKEN, 201, None),
    ("post", "/api/auth/forgot", "", {"json": {"email": "ada@example.com"}}, 403, "reset_unavailable"),
    ("post", "/api/auth/forgot", "", {"json": {}}, 400, "invalid_request"),
    ("post", "/api/auth/reset", "", {"json": {"token": "x", "new_password": PASSWORD}}, 403, "reset_unavailable"),
    (
        "post",
        "/api/auth/keys",
        "",
        {"json": {"name": "a server", "expires": "2999-01-01T00:00:00Z"}} | TOKEN,
        201,
        None,
    ),
    ("post", "/api/auth/keys", "", {"json": {"name": ""}} | TOKEN, 400, "invalid_request"),
    ("get", "/api/auth/keys", "", TOKEN, 200, None),
    ("get", "/api/auth/keys", "", {"headers": {"Authorization": f"Bearer qw_{0:064}"}}, 401, "invalid_token"),
    ("delete", "/api/auth/keys/{key}", "1", TOKEN, 404, "not_found"),
    ("post", "/api/auth/refresh", "", {"json": {"refresh_token": "of bob"}}, 200, None),
    ("post", "/api/auth/refresh", "", {"json": {"refresh_token": "x"}}, 401, "invalid_token"),
    ("post", "/api/auth/logout", "", {"json": {"refresh_token": "of ada", "everywhere": 1}}, 400, "invalid_request"),
    ("post", "/api/auth/logout", "", {"json": {"refresh_token": "x"}}, 200, None),
    ("get", "/api/auth/sessions", "", TOKEN, 200, None),
    ("delete", "/api/auth/sessions/{session}", "0", TOKEN, 404, "not_found"),
    ("delete", "/api/auth/sessions/{session}", "own", {"token": "dan"}, 200, None),
    (
        "post",
        "/api/auth/password",
        "",
        {"json": {"current_password": "wrong", "new_password": PASSWORD}} | TOKEN,
        401,
        "invalid_credentials",
    ),
    (
        "post",
        "/api/auth/password",
        "",
        {"json": {"current_password": "a", "new_password": "b"}} | TOKEN,
        400,
        "invalid_request",
    ),
    (
        "post",
        "/api/auth/password",
        "",
        {"json": {"current_password": PASSWORD, "new_password": PASSWORD}} | BOB,
        200,
        None,
    ),
    ("post", "/api/auth/logout", "", {"json": {"refresh_token": "of bob"}}, 200, None),
    ("delete", "/api/auth/me", "", {"json": {"password": "wrong"}} | TOKEN, 401, "invalid_credentials"),
    ("delete", "/api/auth/me", "", {"json": {"password": PASSWORD}} | {"token": "cat"}, 200, None),
    ("get", "/api/health", "", {}, 200, None),
    ("get", "/api/health/live", "", {}, 200, None),
    ("get", "/api/health/live", "?a=1", {}, 400, "invalid_request"),
    ("get", "/api/health/ready", "", {}, 200, None),
    ("get", "/api/stock/{symbol}", "AAPL", {}, 200, None),
    ("get", "/api/stock/{symbol}", "AAPL", {"headers": {"If-None-Match": "*"}}, 304, None),
    ("get", "/api/stock/{symbol}", "A%20B", {}, 400, "invalid_symbol"),
    ("get", "/api/stock/{symbol}", "AAPL?wait=x", {}, 400, "invalid_request"),
    ("get", "/api/stock/{symbol}", "NOSUCH", {}, 404, "unknown_symbol"),
    ("get", "/api/stock/{symbol}", "ORCL?wait=0", {}, 503, "quote_pending"),
    ("get", "/api/stocks", "?symbols=AAPL,NOSUCH,IBM", {}, 200, None),
    ("get", "/api/stocks", "?symbols=A&more=1", {}, 400, "invalid_request"),
    ("get", "/api/stock/{symbol}/chart", "AAPL?days=5", {}, 200, None),
    ("get", "/api/stock/{symbol}/chart", "AAPL?days=0", {}, 400, "invalid_request"),
    ("get", "/api/stock/{symbol}/chart", "NOSUCH", {}, 404, "unknown_symbol"),
    ("get", "/api/stock/{symbol}/history", "AAPL?limit=1", {}, 200, None),
    ("get", "/api/stock/{symbol}/history", "AAPL?from=today", {}, 400, "invalid_request"),
    ("get", "/api/stock/{symbol}/history", "AAPL?days=1", {}, 400, "invalid_request"),
    ("get", "/api/stock/{symbol}/history", "AAPL?from=0001-01-01T00:00:00%2B23:59", {}, 400, "invalid_request"),
    ("get", "/api/stock/{symbol}/history", "AAPL?to=9999-12-31T23:59:59-23:59", {}, 400, "invalid_request"),
    ("get", "/api/stock/{symbol}/history", "AAPL?to=9999-12-31", {}, 400, "invalid_request"),
    ("get", "/api/search/{query}", "tesco", {}, 200, None),
    ("get", "/api/search/{query}", "%01", {}, 400, "invalid_request"),
    ("get", "/api/market/overview", "", {}, 200, None),
    ("get", "/api/openapi.json", "", {}, 200, None),
    ("get", "/api/docs", "", {}, 200, None),
    ("get", "/api/stream", "?symbols=", {}, 400, "invalid_request"),
    ("get", "/api/stream", "?symbols=A%20B", {}, 400, "invalid_symbol"),
    ("post", "/api/watchlist", "", {"json": {"symbol": "NOSUCH"}} | TOKEN, 404, "unknown_symbol"),
    ("post", "/api/watchlist", "", {"json": {"symbol": "AAPL"}} | TOKEN, 201, None),
    ("post", "/api/watchlist", "", {"json": {"symbol": "AAPL"}} | TOKEN, 409, "already_on_watchlist"),
    ("post", "/api/watchlist", "", {"json": {"symbol": "IBM"}} | TOKEN, 409, "watchlist_full"),
    ("post", "/api/watchlist", "", {"json": {"symbol": "-"}} | TOKEN, 400, "invalid_symbol"),
    ("post", "/api/watchlist", "", {"json": {"symbol": "AAPL"}}, 401, "invalid_token"),
    ("get", "/api/watchlist", "", TOKEN, 200, None),
    ("get", "/api/watchlist", "?include=quotes", TOKEN, 200, None),
    ("get", "/api/watchlist", "?include=all", TOKEN, 400, "invalid_request"),
    ("put", "/api/watchlist", "", {"json": {"watchlist": ["AAPL"]}} | TOKEN, 200, None),
    ("put", "/api/watchlist", "", {"json": {"watchlist": ["IBM"]}} | TOKEN, 400, "invalid_request"),
    ("get", "/api/watchlist/export", "", TOKEN, 200, None),
    ("get", "/api/watchlist/stream", "?ticket=x", {}, 401, "invalid_token"),
    ("delete", "/api/watchlist/{symbol}", "AAPL", TOKEN, 200, None),
    ("delete", "/api/watchlist/{symbol}", "AAPL", TOKEN, 404, "not_on_watchlist"),
    ("get", "/", "", {}, 200, None),
    ("get", "/ops", "", {}, 200, None),
    ("get", "/reset", "", {}, 200, None),
    ("get", "/api/ops/status", "", OPS, 200, None),
    ("get", "/api/ops/status", "", TOKEN, 403, "insufficient_scope"),
    ("get", "/api/ops/budget", "", OPS, 200, None),
    ("get", "/api/ops/symbols", "?most=5", OPS, 200, None),
    ("get", "/api/ops/symbols", "?sort=price", OPS, 400, "invalid_request"),
    ("put", "/api/ops/symbols/{symbol}/pin", "IBM", OPS, 200, None),
    ("delete", "/api/ops/symbols/{symbol}/pin", "IBM", OPS, 200, None),
    ("delete", "/api/ops/symbols/{symbol}/pin", "AAPL", OPS, 400, "invalid_request"),
    ("delete", "/api/ops/symbols/{symbol}/quarantine", "NOSUCH", OPS, 200, None),
    ("delete", "/api/ops/symbols/{symbol}/quarantine", "ZZZZZ", OPS, 404, "not_found"),
    ("get", "/api/ops/calls", "?symbol=AAPL", OPS, 200, None),
    ("get", "/api/ops/line", "", OPS, 200, None),
    ("get", "/api/ops/audit", "?most=5", OPS, 200, None),
    ("get", "/api/ops/users", "?begins=ada", OPS, 200, None),
    ("delete", "/api/ops/users/{user}", "2", OPS, 200, None),
    ("delete", "/api/ops/users/{user}", "999", OPS, 404, "not_found"),
    ("delete", "/api/ops/users/{user}", "5", OPS, 400, "invalid_request"),
    ("post", "/api/ops/refresh", "", {"json": {"symbols": ["IBM"]}} | OPS, 202, None),
    ("post", "/api/ops/refresh", "", {"json": {}} | OPS, 400, "invalid_request"),
    ("post", "/api/ops/refresh", "", {"json": {"symbols": ["ZZZZZ"]}} | TOKEN, 403, "insufficient_scope"),
    ("get", "/api/ops/refresh/{job}", "1", OPS, 200, None),
    ("get", "/api/ops/refresh/{job}", "99", OPS, 404, "not_found"),
    ("post", "/api/ops/hold", "", {"json": {"for": "1min"}} | OPS, 200, None),
    ("post", "/api/ops/hold", "", {"json": {"for": "soon"}} | OPS, 400, "invalid_request"),
    ("delete", "/api/ops/hold", "", OPS, 200, None),
]


def closed(part: Any) -> Any:
    """A schema that takes no field but those it names: what is answered must be written down."""
    if isinstance(part, list):
        return [closed(each) for each in part]
    if not isinstance(part, dict):
        return part
    names = {"unevaluatedProperties": False} if "content" not in part and set(part) & {"$ref", "allOf"} else {}
    return {name: closed(each) for name, each in part.items()} | names


def breaches(method: str, path: str, response: ClientResponse, text: str) -> Iterator[str]:
    """In what an answer differs from its documented response."""
    documented = DOCUMENT["paths"][path][method]["responses"].get(str(response.status))
    if documented is None:
        yield "the status is not documented"
        return
    promised = documented.get("headers", {})
    yield from (f"without {name}" for name in promised if name not in response.headers)
    yield from (f"with {name}" for name in HEADERS if name in response.headers and name not in promised)
    if content := documented.get("content"):
        schema = content[response.content_type]["schema"]
        body = json.loads(text) if response.content_type == "application/json" else text
        components = closed(DOCUMENT["components"])
        validator = OAS31Validator({**closed(schema), "components": components}, format_checker=oas31_format_checker)
        yield from (f"{error.json_path}: {error.message}" for error in validator.iter_errors(body))


async def call(api: Client, users: dict[str, User], call: Call) -> tuple[ClientResponse, str]:
    method, path, rest, sent, _, _ = call
    place, mark, query = rest.partition("?")
    sent = dict(sent)
    user = users.get(sent.pop("token", ""))
    if place == "own" and user is not None:
        token = user.headers["Authorization"].split()[1]
        place = jwt.decode(token, options={"verify_signature": False})["sid"]
    address = URL(re.sub("{[a-z]+}", place, path) + mark + query, encoded=True)
    headers = sent.pop("headers", {}) | (user.headers if user else {})
    if (given := sent.get("json", {}).get("refresh_token", "")).startswith("of "):
        sent["json"] = sent["json"] | {"refresh_token": users[given[3:]].refresh_token}
    response = await api.request(method, address, headers=headers, **sent)
    return response, await response.text()


async def test_real_answers_are_as_documented(open_api: OpenApi) -> None:
    api = await open_api(max_watchlist_size=1)
    users = {name: await register(api, name) for name in ("ada", "bob", "cat", "dan")}
    users["operator"] = await register_operator(api, "operator")
    for path in ("/api/stock/AAPL?wait=10", "/api/stock/AAPL/chart?wait=10", "/api/stock/NOSUCH?wait=10"):
        await api.get(path)
    found, wrong = [], []
    for each in CALLS:
        response, text = await call(api, users, each)
        code = json.loads(text).get("code") if response.status >= 400 else None
        found.append((*each[:4], response.status, code))
        wrong += [(*each[:3], breach) for breach in breaches(each[0], each[1], response, text)]

    assert CALLS == found
    assert [] == wrong


async def test_an_answer_for_now_is_as_documented(open_api: OpenApi) -> None:
    """429 and 503 to whoever asks for too much."""
    api = await open_api(limits=parse_limits("1/1min", "limits"))
    answers = [await api.get(f"/api/stock/{symbol}?wait=0") for symbol in ("A", "B", "C", "D")]
    wrong = [list(breaches("get", "/api/stock/{symbol}", answer, await answer.text())) for answer in answers]

    assert [503, 503, 503, 429] == [answer.status for answer in answers]
    assert [[]] * 4 == wrong


async def test_closed_registration_is_as_documented(open_api: OpenApi) -> None:
    answer = await (await open_api(registration_open=False)).post("/api/auth/register", json={})

    assert 403 == answer.status
    assert [] == list(breaches("post", "/api/auth/register", answer, await answer.text()))


def test_the_calls_have_every_operation() -> None:
    assert {(method, path) for method, path, *_ in CALLS} == set(OPERATIONS)


def test_a_schema_that_is_closed_refuses_what_it_does_not_name() -> None:
    schema = {"$ref": "#/components/schemas/ReadyAnswer", "components": DOCUMENT["components"]}
    body = {"status": "ready", "more": 1}

    assert OAS31Validator(schema).is_valid(body)
    assert not OAS31Validator(closed(schema)).is_valid(body)


@pytest.mark.parametrize("path", sorted({path for method, path in OPERATIONS if method == "get"}))
async def test_added_routes_refuse_what_they_do_not_know_and_all_what_comes_twice(api: Client, path: str) -> None:
    ada = await register_operator(api, "ada")
    address = path.replace("{symbol}", "AAPL").replace("{query}", "AAPL").replace("{job}", "1")
    query = OPERATIONS["get", path].contract.query
    known = properties(query) if query is not None else {}
    names = [name for name, schema in known.items() if schema.get("type") != "array"]
    unknown = await api.get(f"{address}?wait=0&no_such=1&symbols=-", headers=ada.headers)
    twice = [await api.get(f"{address}?{name}=1&{name}=1", headers=ada.headers) for name in names]

    assert (400 == unknown.status) == (path in ADDED)
    assert [400] * len(names) == [answer.status for answer in twice]


async def test_what_needs_a_token_says_so(api: Client) -> None:
    for (method, path), operation in OPERATIONS.items():
        secured = DOCUMENT["paths"][path][method]["security"] == [{"bearer": []}]
        answer = await api.request(method, re.sub("{[a-z]+}", "-", path), data=b"")

        assert secured == (not operation.is_public), path
        assert (secured or path in PROVED_OTHERWISE) == (401 == answer.status), path


async def test_the_document_is_served_and_may_be_cached(api: Client) -> None:
    first = await api.get("/api/openapi.json")
    again = await api.get("/api/openapi.json", headers={"If-None-Match": first.headers["ETag"]})

    assert DOCUMENT == await first.json()
    assert 304 == again.status


async def test_the_page_is_allowed_its_own_script_and_style_only(api: Client) -> None:
    answer = await api.get("/api/docs")
    page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
    hashes = {
        tag: base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
        for tag, part in re.findall(r"<(script|style)>(.*?)</\1>", page, re.S)
    }

    assert ("text/html", "utf-8") == (answer.content_type, answer.charset)
    assert {"script", "style"} == set(hashes)
    for tag, digest in hashes.items():
        assert f"{tag}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert [] == re.findall(r"<(?:script|style)\s|\son\w+=|\sstyle=|javascript:", page)


async def test_the_page_names_no_other_host(api: Client) -> None:
    page = await (await api.get("/api/docs")).text()

    assert [] == re.findall(r"(?:\w+:)?//[\w.-]+\.\w+", page)
