"""Ways around scopes and owners: other spellings of a path, headers that claim something, other people's objects, a closed instance."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import jwt

from tests.attack.target import REVOKED, Person, Target
from tests.harness.polling import eventually

METHODS = ("get", "post", "put", "delete")
CLAIMS = {
    "X-Original-URL": "/api/health",
    "X-Rewrite-URL": "/api/health",
    "X-HTTP-Method-Override": "GET",
    "X-Forwarded-For": "127.0.0.1",
    "X-Forwarded-User": "operator",
    "X-User-ID": "1",
    "X-Scope": "operator",
    "X-Api-Key": "operator",
    "Forwarded": "for=127.0.0.1;by=127.0.0.1",
    "Referer": "http://127.0.0.1/ops",
    "Origin": "http://127.0.0.1",
    "Host": "localhost",
}
MORE = {"scope": "operator", "role": "operator", "is_admin": True, "id": 1, "user_id": 1, "locked_at": None}
ORIGINS = ("https://evil.example", "null", "http://localhost:3000", "https://quotewell.evil.example", "file://")
READS = (
    "/api/stock/AAPL",
    "/api/stocks?symbols=AAPL",
    "/api/stock/AAPL/chart",
    "/api/stock/AAPL/history",
    "/api/search/apple",
    "/api/market/overview",
    "/api/stream?symbols=AAPL",
)
NOT_FOR_KEYS = ("/api/ops/", "/api/auth/")
OTHERS = 40  # ids of other people's objects that are tried: each login of this run is among them
ROOTS = (
    "/api/pages/../app.py",
    "/..%2f..%2fetc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/.git/config",
    "/.env",
    "/static/../.env",
)
SPLIT = ("/api/stock/A%0d%0aSet-Cookie:%20a=b", "/api/search/%0d%0aX-Evil:%201", "/%0d%0aX-Evil:1")


async def attack(target: Target) -> None:
    document = (await target.request("GET", "/api/openapi.json")).body
    victim, mallory = await target.register("victim"), await target.register("mallory")
    await _try_operations(target, document, mallory)
    await _try_objects(target, victim, mallory)
    await _try_mass_assignment(target)
    await _try_keys(target, document, victim, mallory)
    await _try_origins_and_files(target, victim)
    await _try_closed(target, victim)


async def _try_operations(target: Target, document: Any, mallory: Person) -> None:
    """Every private operation without a token, and every operator's with a user's; each path in other spellings, too."""
    at = target.new_address()
    for method, path, operation in _operations(document):
        if operation["security"]:
            methods = (method, "HEAD") if method == "GET" else (method,)
            people = [{}, mallory.headers] if path.startswith("/api/ops/") else [{}]
            answers = (
                target.request(each, spelt, at=at, headers={**CLAIMS, **headers}, **_body(each))
                for each in methods
                for headers in people
                for spelt in (path, *_spellings(path))
            )
            for answer in await asyncio.gather(*answers):
                target.judge.must_refuse(answer)


def _operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, item in document["paths"].items():
        filled = re.sub(r"\{symbol\}", "AAPL", path)
        for method in METHODS:
            if method in item:
                yield method.upper(), re.sub(r"\{\w+\}", "1", filled), item[method]


def _body(method: str) -> dict[str, Any]:
    return {"json": {"symbol": "AAPL", "symbols": ["AAPL"], "for": "1h"}} if method in ("POST", "PUT") else {}


def _spellings(path: str) -> Iterator[str]:
    """Other ways to write a path, which a proxy and the router may read differently."""
    last = path.rpartition("/")[2]
    yield from (f"{path}/", f"/{path}", path.replace("/api/", "/api//"), path.upper(), path.replace("api", "%61pi"))
    yield from (path.replace("/api/", "/api%2f"), path.replace("/api/", "/api/health/../"), f"/api/stock/..;{path}")
    yield from (f"{path};x=1", f"{path}%00", f"{path}%20", f"{path}.json", f"{path}?_method=GET", f"{path}#{last}")
    yield from (path.replace("/api/", "/api/%2e/"), path.replace("/api/", "/api\\"), path.replace("/", "\\"))


async def _try_objects(target: Target, victim: Person, mallory: Person) -> None:
    """Logins, keys and symbols of somebody else."""
    add = {"symbol": "AAPL", "user_id": victim.id, "user": victim.name}
    target.judge.must_serve(
        await target.request("POST", "/api/watchlist", at=victim.at, headers=victim.headers, json={"symbol": "IBM"})
    )
    await target.request("POST", "/api/watchlist", at=mallory.at, headers=mallory.headers, json=add)
    for name in ("IBM", "..%2fIBM", f"{victim.id}/IBM"):
        path = f"/api/watchlist/{name}?user_id={victim.id}"
        target.judge.must_refuse(await target.request("DELETE", path, at=mallory.at, headers=mallory.headers))
    own = int(jwt.decode(mallory.access, options={"verify_signature": False})["sid"])
    for number in {*range(1, OTHERS)} - {own}:
        path = f"/api/auth/sessions/{number}"
        target.judge.must_refuse(await target.request("DELETE", path, at=mallory.at, headers=mallory.headers))
    await asyncio.sleep(REVOKED)
    target.judge.must_serve(await target.request("GET", "/api/auth/me", at=victim.at, headers=victim.headers))
    stored = await target.watchlist(victim)
    target.judge.must_keep({"IBM"}, stored, "another's list")
    target.judge.must_bound(len(stored), 1, f"somebody else's list has {sorted(stored)}")


async def _try_mass_assignment(target: Target) -> None:
    """Fields that nobody may set at registration."""
    person = await target.register("climber", more=MORE)
    for path in ("/api/ops/status", "/api/ops/audit", "/api/ops/calls"):
        target.judge.must_refuse(await target.request("GET", path, at=person.at, headers=person.headers))
    again = await target.log_in_again(person)
    target.judge.must_refuse(await target.request("GET", "/api/ops/status", at=again.at, headers=again.headers))
    target.judge.must_bound(1 if person.id == MORE["id"] else 0, 0, "an account chose its id")


async def _try_keys(target: Target, document: Any, owner: Person, mallory: Person) -> None:
    """A key of scope `read` changes nothing, and ends when it is revoked. Without such keys there is nothing to try."""
    made = await target.request("POST", "/api/auth/keys", at=owner.at, headers=owner.headers, json={"name": "attack"})
    if made.status != 201:
        return
    key = made.body["key"]
    headers, at = {"Authorization": f"Bearer {key}"}, target.new_address()
    target.judge.must_serve(await target.request("GET", "/api/stock/AAPL", at=at, headers=headers))
    for method, path, operation in _operations(document):
        if operation["security"] and (method != "GET" or path.startswith(NOT_FOR_KEYS)):
            target.judge.must_refuse(await target.request(method, path, at=at, headers=headers, **_body(method)))
    for number in range(1, OTHERS):
        path = f"/api/auth/keys/{number}"
        target.judge.must_refuse(await target.request("DELETE", path, at=mallory.at, headers=mallory.headers))
    listed = await target.request("GET", "/api/auth/keys", at=mallory.at, headers=mallory.headers)
    target.judge.must_bound(listed.text.count("attack"), 0, f"another's keys: {listed}")
    await _try_revoked_key(target, owner, headers, at)


async def _try_revoked_key(target: Target, owner: Person, headers: dict[str, str], at: str) -> None:
    target.judge.must_serve(await target.request("GET", "/api/watchlist", at=at, headers=headers))
    listed = await target.request("GET", "/api/auth/keys", at=owner.at, headers=owner.headers)
    for number in re.findall(r'"id": ?"?(\w+)', listed.text):
        await target.request("DELETE", f"/api/auth/keys/{number}", at=owner.at, headers=owner.headers)
    await asyncio.sleep(REVOKED)
    target.judge.must_refuse(await target.request("GET", "/api/watchlist", at=at, headers=headers))


async def _try_origins_and_files(target: Target, victim: Person) -> None:
    """Pages of origins that are not listed, files beside the pages, and headers in a path."""
    at = target.new_address()
    for origin in ORIGINS:
        for method in ("GET", "OPTIONS"):
            headers = {**victim.headers, "Origin": origin, "Access-Control-Request-Method": "POST"}
            answer = await target.request(method, "/api/auth/me", at=at, headers=headers)
            target.judge.must_bound("Access-Control-Allow-Origin" in answer.headers, 0, f"CORS: {answer}")
    for path in ROOTS:
        target.judge.must_refuse(await target.request("GET", path, at=at))
    for path in SPLIT:
        answer = await target.request("GET", path, at=at)
        split = {"Set-Cookie", "X-Evil"} & set(answer.headers)
        target.judge.must_bound(len(split), 0, f"a path wrote headers: {answer}")


async def _try_closed(target: Target, known: Person) -> None:
    """An instance for its own accounts: no stranger reads or registers, and its people read."""
    url = await target.start_api("closed", READS="accounts", REGISTRATION="closed")
    at = target.new_address()
    account = {"username": "stranger", "email": "stranger@example.com", "password": "correct horse battery"}
    target.judge.must_refuse(await target.request("POST", "/api/auth/register", at=at, url=url, json=account))
    forged = {"Authorization": f"Bearer {known.access[:-4]}AAAA"}
    for path in READS:
        for headers in ({}, forged, CLAIMS):
            target.judge.must_refuse(await target.request("GET", path, at=at, url=url, headers=headers))

    async def reads() -> bool:
        answer = await target.request("GET", "/api/stock/AAPL", at=known.at, url=url, headers=known.headers)
        return answer.status == 200

    await eventually(reads, within=15, what="an account reads at the closed instance")
