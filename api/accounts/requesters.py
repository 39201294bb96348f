"""Who makes a request: the user of its token, or a stranger known by the network only. All token checks start here."""

import hashlib
from dataclasses import dataclass

from aiohttp import web

from api.accounts.known_keys import KNOWN_KEYS, key_of
from api.accounts.revocations import REVOCATIONS
from api.accounts.tokens import TOKENS
from api.http import rate_limits
from api.http.clients import network_of
from api.http.keys import CALLER, Caller
from common.errors import InvalidToken, QuotewellError


@dataclass(frozen=True, slots=True)
class Requester:
    """`user:<id>`, or `network:` and 16 hex digits of a hash: the ledger stores it, and must not store addresses."""

    name: str
    account: int | None


REQUESTER: web.RequestKey[Requester] = web.RequestKey("requester", Requester)


async def verify(request: web.Request) -> Caller:
    """The caller of a request's token or API key; raise `InvalidToken`, also if its login or the key has ended, or `StoreUnavailable` if
    that is not known."""
    key = key_of(request)
    if key is not None:
        return await _verify_key(request, key)
    claims = await request.app[TOKENS].verify(request)
    login = int(claims["sid"])
    if await request.app[REVOCATIONS].is_ended(login):
        raise InvalidToken("the login of this token has ended; log in again")
    return Caller(int(claims["sub"]), str(claims.get("scope", "")), login=login)


async def _verify_key(request: web.Request, key: str) -> Caller:
    """A key that this process does not know yet is counted for its address first: a lookup costs more than a refusal."""
    known_keys = request.app[KNOWN_KEYS]
    caller = known_keys.find(key)
    if caller is None:
        rate_limits.count(request)
        caller = await known_keys.look_up(key)
    return caller


async def requester_of(request: web.Request) -> Requester:
    """The requester of something that may cost a call. On a public route this verifies the token, once, and only when it is needed.

    A token that is invalid, or cannot be verified now, makes its owner a stranger.
    """
    found = request.get(REQUESTER)
    if found is None:
        found = request[REQUESTER] = _account(await _caller(request)) or _stranger(request)
    return found


def reader_of(request: web.Request) -> str:
    """Who a read counts for: the user if the token is verified already, else the network. It verifies no token."""
    caller = request.get(CALLER)
    return network_of(request) if caller is None else f"user:{caller.id}"


async def _caller(request: web.Request) -> Caller | None:
    try:
        return request.get(CALLER) or await verify(request)
    except QuotewellError:
        return None


def _account(caller: Caller | None) -> Requester | None:
    return Requester(f"user:{caller.id}", caller.id) if caller else None


def _stranger(request: web.Request) -> Requester:
    digest = hashlib.sha256(network_of(request).encode()).hexdigest()
    return Requester(f"network:{digest[:16]}", None)
