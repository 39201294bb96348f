"""The one door to the provider: a permit, a query, bytes back. It moves bytes and hides the key; it decides nothing.

A request is written once: no kept-alive connection (aiohttp would re-send a dropped GET), no redirect, no retry. The permit's
deadline is checked after the connection is made and just before the write; what was never written counts for nothing.
"""

import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from common.core.models import Function
from common.core.provider.alpha_vantage import TOO_MANY, Answer, Refusal, decipher, query
from common.core.provider.outcomes import Outcome
from common.core.provider.retry_after import read_http_date, read_wait
from common.store.budget.ledger import Grant

CONNECT = 3.0  # seconds
WRITE_BY = 7.0  # seconds after the ledger was asked: well inside the lease of 12
ANSWER_TIMEOUT = 11.5  # seconds after the ledger was asked: the lease still stands
LARGEST = 1 << 20  # bytes of an answer
LARGEST_LISTING = 8 << 20
KEYS = 8  # characters of a key from which on it is no part of a text by chance
MAX_NOTICE_LENGTH = 300  # characters that are logged
SIMULATOR = "X-Quotewell-Simulator"


@dataclass(frozen=True, slots=True)
class Provider:
    """Where the provider is and whose key pays; `timeout` in seconds for a whole call; `entitlement` as in `query`."""

    http: aiohttp.ClientSession
    base_url: str
    key: str = field(repr=False)
    timeout: float
    source: str
    entitlement: str = ""


@dataclass(frozen=True, slots=True)
class _Response:
    """`simulated`: it says that its prices are; `wait`: for how long it asks to be left alone."""

    status: int
    body: bytes
    simulated: bool
    wait: timedelta | None


@dataclass(slots=True)
class Permit:
    """One grant on its way out; `asked` is monotonic, read before the ledger was asked."""

    grant: Grant
    asked: float
    sent: bool = False


def open_http() -> aiohttp.ClientSession:
    """The session for the provider alone."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, limit=64),
        headers={"Accept": "application/json", "User-Agent": "quotewell"},
        request_class=_Request,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


_permit: ContextVar[Permit] = ContextVar("permit")


class _Request(aiohttp.ClientRequest):
    """Written once and in time. aiohttp sends a GET again when its connection drops, a fresh one included."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        permit = _permit.get()
        if permit.sent:
            raise Refusal(Outcome.UNAVAILABLE, "the connection was dropped; a call is not sent twice")
        if time.monotonic() > permit.asked + WRITE_BY:
            raise Refusal(Outcome.UNSENT, "the permit ran out before the request was written")
        permit.sent = True
        return await super().send(conn)


async def fetch(provider: Provider, permit: Permit) -> Answer:
    """Make the one call that a permit allows; raise `Refusal` for every other end than the data asked for."""
    grant = permit.grant
    try:
        response = await _get(provider, permit)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        outcome = Outcome.UNAVAILABLE if permit.sent else Outcome.UNSENT
        raise Refusal(outcome, f"the call failed: {type(error).__name__}") from None
    if response.status == 200 and response.simulated != (provider.source == "simulated"):
        raise Refusal(Outcome.BAD_KEY, "the prices are simulated where real ones are expected, or the reverse")
    try:
        answer = decipher(grant.function, grant.subjects, response.status, response.body, wait=response.wait)
    except Refusal as refusal:
        refusal.notice = refusal.notice.replace(provider.key, "***")[:MAX_NOTICE_LENGTH]
        raise
    if not response.simulated and len(provider.key) >= KEYS and provider.key.encode() in response.body:
        raise Refusal(Outcome.UNKNOWN_NOTICE, "the answer repeats the key: it is neither kept nor shown")
    return answer


async def _get(provider: Provider, permit: Permit) -> _Response:
    """The answer; of one whose status says it all no byte is waited for."""
    function, subjects = permit.grant.function, permit.grant.subjects
    parameters = {**query(function, subjects, entitlement=provider.entitlement), "apikey": provider.key}
    accept = "*/*" if function is Function.LISTING else "application/json"
    _permit.set(permit)
    total = min(provider.timeout, permit.asked + ANSWER_TIMEOUT - time.monotonic())
    async with provider.http.get(
        URL(f"{provider.base_url}/query").with_query(parameters),
        headers={"Accept": accept},
        allow_redirects=False,
        timeout=aiohttp.ClientTimeout(total=max(total, 0.001), connect=CONNECT),
    ) as response:
        most = LARGEST_LISTING if function is Function.LISTING else LARGEST
        body = b"" if response.status == TOO_MANY else await _read(response, most)
        return _Response(response.status, body, SIMULATOR in response.headers, _wait(response.headers))


def _wait(headers: Mapping[str, str]) -> timedelta | None:
    """By the answer's own clock, if it tells its time."""
    sent = read_http_date(headers.get("Date", "")) or datetime.now(UTC)
    return read_wait(headers.get("Retry-After", ""), sent)


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body, at most so many bytes of it."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > most:
            raise Refusal(Outcome.UNAVAILABLE, f"expected at most {most} bytes")
    return bytes(body)
