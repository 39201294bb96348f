"""Rate limits per client: requests a minute, fewer searches, and fewer still of password checks. Each process counts in its own memory.

A client is a user with a valid token, or else an address. The limits guard computation: hot answers are free (api/quotes/hot.py), and
the provider's budget has its own rules.
"""

import math
import time
from collections import OrderedDict
from dataclasses import dataclass

from aiohttp import web

from api.http.clients import address_of
from api.http.keys import CALLER
from api.http.requests import route_of
from common.errors import RateLimited
from common.process.settings import Settings

MINUTE = 60  # seconds
MAX_CLIENTS = 100_000  # within a minute; beyond this, new clients are not tracked: that many cannot be one client
PROBES = frozenset({"/api/health", "/api/health/live", "/api/health/ready"})  # orchestrators must always get an answer
SEARCH = "/api/search/{query}"
HASHED = frozenset(  # routes that hash a password, which is expensive
    {
        ("POST", "/api/auth/register"),
        ("POST", "/api/auth/login"),
        ("POST", "/api/auth/password"),
        ("POST", "/api/auth/reset"),
        ("DELETE", "/api/auth/me"),
    }
)


@dataclass(slots=True)
class Window:
    """A client's minute: when it ends, on the monotonic clock, and its requests so far."""

    ends: float
    used: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """A client's state under one quota: requests left (negative if over), and seconds until the quota resets."""

    name: str
    quota: int
    left: int
    reset: int


class Allowance:
    """A quota a minute for each client. A client's minute begins with its first request."""

    def __init__(self, name: str, quota: int) -> None:
        self._name, self._quota = name, quota
        self._windows: OrderedDict[str, Window] = OrderedDict()  # in the order of their ends

    def count(self, client: str, now: float) -> Standing:
        """Count one request."""
        while self._windows and next(iter(self._windows.values())).ends <= now:
            self._windows.popitem(last=False)
        window = self._windows.get(client) or Window(now + MINUTE)
        if len(self._windows) < MAX_CLIENTS:
            self._windows.setdefault(client, window)
        window.used += 1
        return Standing(self._name, self._quota, self._quota - window.used, math.ceil(round(window.ends - now, 3)))


class Allowances:
    """The quotas of one process."""

    def __init__(self, settings: Settings) -> None:
        self._requests = Allowance("requests", settings.client_limit)
        self._searches = Allowance("searches", settings.search_limit)
        self._logins = Allowance("logins", settings.login_limit)

    def count(self, client: str, address: str, *, searches: bool, hashes: bool) -> list[Standing]:
        """Count a request under every quota that applies.

        Password checks count per address; per account, one client could multiply its limit.
        """
        now = time.monotonic()
        standings = [self._requests.count(client, now)]
        if searches:
            standings.append(self._searches.count(client, now))
        if hashes:
            standings.append(self._logins.count(address, now))
        return standings


ALLOWANCES = web.AppKey("allowances", Allowances)
STANDINGS: web.RequestKey[list[Standing]] = web.RequestKey("standings", list)


def is_counted(path: str | None) -> bool:
    """Whether requests for a route count; None stands for an unknown route, which does."""
    return path not in PROBES


def count(request: web.Request) -> None:
    """Count a request, once, for its user if its token is verified already, else for its address; raise `RateLimited` over a quota."""
    path = route_of(request)
    if not is_counted(path) or STANDINGS in request:
        return
    caller, address = request.get(CALLER), f"address {address_of(request)}"
    client = address if caller is None else f"user {caller.id}"
    hashes = (request.method, path) in HASHED
    standings = request.app[ALLOWANCES].count(client, address, searches=path == SEARCH, hashes=hashes)
    request[STANDINGS] = standings
    for standing in standings:
        if standing.left < 0:
            message = f"expected at most {standing.quota} {standing.name} a minute"
            raise RateLimited(message, retry_after=standing.reset)


def headers(request: web.Request) -> dict[str, str]:
    """The headers of draft-ietf-httpapi-ratelimit-headers-10."""
    standings = request.get(STANDINGS)
    if standings is None:
        return {}
    return {
        "RateLimit-Policy": ", ".join(f'"{each.name}";q={each.quota};w={MINUTE}' for each in standings),
        "RateLimit": ", ".join(f'"{each.name}";r={max(0, each.left)};t={each.reset}' for each in standings),
    }
