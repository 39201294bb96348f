"""Who a request is of: the account of its token, or a stranger known by the network alone. Tokens are verified here and nowhere else."""

import hashlib
from dataclasses import dataclass

from aiohttp import web

from api.accounts.revocations import REVOCATIONS
from api.accounts.tokens import TOKENS
from api.http.clients import network_of
from api.http.keys import CALLER, Caller
from common.errors import InvalidToken, QuotewellError


@dataclass(frozen=True, slots=True)
class Requester:
    """An account, or a network of strangers: `user:<id>`, or `network:` and 16 hex digits of a hash, for it is written to the journal."""

    name: str
    account: int | None


REQUESTER: web.RequestKey[Requester] = web.RequestKey("requester", Requester)


async def verify(request: web.Request) -> Caller:
    """Who a token is of; raise `InvalidToken`, also when its login has ended, or `StoreUnavailable` when nobody can tell."""
    claims = await request.app[TOKENS].verify(request)
    login = int(claims["sid"])
    if await request.app[REVOCATIONS].is_ended(login):
        raise InvalidToken("the login of this token has ended; log in again")
    return Caller(int(claims["sub"]), str(claims.get("scope", "")), login=login)


async def requester_of(request: web.Request) -> Requester:
    """Who asks for what may cost a call. A public route verifies its token here, when it has to know, and once.

    Whoever has a token that is not good, or that nobody can verify now, is a stranger there.
    """
    found = request.get(REQUESTER)
    if found is None:
        found = request[REQUESTER] = _account(await _caller(request)) or _stranger(request)
    return found


def reader_of(request: web.Request) -> str:
    """Whose read it is: the account's if its token is verified by now, else the network's. No token is verified for it."""
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
