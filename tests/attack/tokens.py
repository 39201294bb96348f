"""Credentials that are forged, stolen in part, expired or of another kind: none of them opens a private route."""

import asyncio
import base64
import json
import random
import secrets
from collections.abc import Iterator
from typing import Any

from tests.api.accounts.test_tokens import BAD, HEADER, claims, token
from tests.api.conftest import PASSWORD
from tests.attack.judge import Answer
from tests.attack.target import REVOKED, Person, Target

Headers = list[tuple[str, str]]

ROUTES = (
    ("GET", "/api/auth/me"),
    ("GET", "/api/watchlist"),
    ("POST", "/api/watchlist"),
    ("POST", "/api/auth/ticket"),
    ("GET", "/api/watchlist/stream"),
    ("GET", "/api/ops/status"),
)
AT_ONCE = 20
MUTATIONS = 500
ALGORITHMS = ("none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "HS384", "RS256", "ES256", "PS256", "EdDSA")
KIDS = ("../../../../dev/null", "/dev/null", "' UNION SELECT 'x", "\x00", "", "0" * 1000)
KNOWN = ("development-only-never-in-production", "change-me-to-a-long-random-string-of-your-own")  # of the source
GUESSES = ("", "secret", "quotewell", HEADER["kid"], *KNOWN)


async def attack(target: Target) -> None:
    """Each forged credential on each private route, then credentials whose login has ended."""
    ada, eve = await target.register("ada"), await target.register("eve")
    waiting = iter([*_forged(ada, eve), *_mutated(eve, random.Random(1))])

    async def client() -> None:
        for headers in waiting:
            await _try(target, headers, target.new_address())

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    await _try_secrets(target, ada, eve)
    await _try_ended(target)


async def _try(target: Target, headers: Headers, at: str) -> None:
    for method, path in ROUTES:
        sent: dict[str, Any] = {"json": {"symbol": "AAPL"}} if method == "POST" else {}
        answer = await target.request(method, path, at=at, headers=headers, **sent)
        target.judge.must_refuse(answer)
        if answer.why.startswith("ValueError"):  # our own client refuses to send it
            return


def _forged(ada: Person, eve: Person) -> Iterator[Headers]:
    yield from (make() for make in BAD.values())
    yield from ([("Authorization", f"Bearer {text}")] for text in _tokens(ada, eve))
    for name in ("Cookie", "X-Access-Token", "X-Auth-Token", "Proxy-Authorization", "X-Authorization"):
        yield [(name, f"token={eve.access}" if name == "Cookie" else f"Bearer {eve.access}")]
    basic = base64.b64encode(f"{eve.name}:{PASSWORD}".encode()).decode()
    yield from ([("Authorization", value)] for value in (f"Basic {basic}", f"Token {eve.access}", f"JWT {eve.access}"))
    yield [("Authorization", "Bearer "), ("Authorization", f"Bearer {eve.access}")]


def _tokens(ada: Person, eve: Person) -> Iterator[str]:
    """Tokens that another key signed, or nobody, and other secrets in a token's place."""
    content = claims(sub=str(ada.id), scope="operator")
    header, payload, signature = eve.access.split(".")
    yield from (token(content, header={**HEADER, "alg": name}) for name in ALGORITHMS)
    yield from (token(content, header={**HEADER, "kid": kid}, secret=kid) for kid in KIDS)
    yield from (token(content, secret=guess) for guess in GUESSES)
    key = {"kty": "oct", "k": base64.urlsafe_b64encode(b"mine").decode()}
    for extra in ({"jwk": key}, {"jku": "http://127.0.0.1:1/keys"}, {"x5u": "http://127.0.0.1:1/x"}, {"zip": "DEF"}):
        yield token(content, header={**HEADER, **extra}, secret="mine")
    forged = base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
    yield f"{header}.{forged}.{signature}"  # her signature under another's claims
    yield f"{header}.{payload}.{ada.access.rpartition('.')[2]}"
    yield from (f"{header}.{payload}.{signature[:-cut]}" for cut in (2, 4, 20, len(signature)))
    yield from (f"{eve.access}.", f".{eve.access}", f"{eve.access}.x", f"{header}.{payload}", eve.access.swapcase())
    yield from (
        eve.refresh,
        f"qw_{secrets.token_urlsafe(32)}",
        f"qw_{eve.access}",
        f"qw_{eve.refresh}",
        "qw_",
        "qw_'--",
    )


def _mutated(person: Person, chance: random.Random) -> Iterator[Headers]:
    """A good token with one letter changed. The last letter has bits that mean nothing, so it stays."""
    text = person.access
    for _ in range(MUTATIONS // len(ROUTES)):
        at = chance.randrange(len(text) - 1)
        other = "A" if text[at] != "A" else "B"
        yield [("Authorization", f"Bearer {text[:at]}{other}{text[at + 1 :]}")]


async def _try_secrets(target: Target, ada: Person, eve: Person) -> None:
    """What is not a refresh token, a ticket or the token of a mail renews no login, opens no stream and sets no password."""
    at = target.new_address()
    wrong: list[object] = [secrets.token_urlsafe(32), ada.access, "", "' OR 1=1 --", "a" * 5000, None, 1, [eve.refresh]]
    for each in wrong:
        sent = {"refresh_token": each}
        target.judge.must_refuse(await target.request("POST", "/api/auth/refresh", at=at, json=sent))
        await target.request("POST", "/api/auth/logout", at=at, json={**sent, "everywhere": True})  # may answer 200
        reset = {"token": each, "new_password": PASSWORD}
        target.judge.must_refuse(await target.request("POST", "/api/auth/reset", at=at, json=reset))
    for text in (secrets.token_urlsafe(32), ada.access, eve.refresh, "", "%00", "x&ticket=y"):
        target.judge.must_refuse(await target.request("GET", f"/api/watchlist/stream?ticket={text}", at=at))
    await asyncio.sleep(REVOKED)
    for person in (ada, eve):  # nobody was logged out
        target.judge.must_serve(await target.request("GET", "/api/auth/me", at=person.at, headers=person.headers))


async def _try_ended(target: Target) -> None:
    """The tokens and tickets of a login that was logged out, lost its password or lost its account."""
    people = [await target.register(name) for name in ("outa", "outb", "outc")]
    tickets = [(await target.request("POST", "/api/auth/ticket", at=p.at, headers=p.headers)).body for p in people]
    new = {"current_password": PASSWORD, "new_password": f"{PASSWORD} 2"}
    ends = (
        ("POST", "/api/auth/logout", {"refresh_token": people[0].refresh}),
        ("POST", "/api/auth/password", new),
        ("DELETE", "/api/auth/me", {"password": PASSWORD}),
    )
    for person, (method, path, body) in zip(people, ends, strict=True):
        answer = await target.request(method, path, at=person.at, headers=person.headers, json=body)
        target.judge.must_serve(answer)
        await _use_old(target, person, answer)
    for person, ticket in zip(people, tickets, strict=True):
        await _try(target, list(person.headers.items()), person.at)
        path = f"/api/watchlist/stream?ticket={ticket['ticket']}"
        target.judge.must_refuse(await target.request("GET", path, at=person.at))
        used = {"refresh_token": person.refresh}
        target.judge.must_refuse(await target.request("POST", "/api/auth/refresh", at=person.at, json=used))


async def _use_old(target: Target, person: Person, ended: Answer) -> None:
    """The refresh token of a login that has ended logs nobody out: not the login that a new password has opened."""
    old = {"refresh_token": person.refresh, "everywhere": True}
    await target.request("POST", "/api/auth/logout", at=person.at, json=old)
    await asyncio.sleep(REVOKED)
    if token := (ended.body or {}).get("access_token"):
        headers = {"Authorization": f"Bearer {token}"}
        target.judge.must_serve(await target.request("GET", "/api/auth/me", at=person.at, headers=headers))
