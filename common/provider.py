"""The only code that sends requests to the provider: one permit, one request. It keeps the key out of errors and logs.

A request is written at most once: no keep-alive (aiohttp would re-send a dropped GET), no redirect, no retry. The permit's deadline is
checked after connecting, just before the write; a request that was never written costs no call. Nor does one arrive after its call ended:
a connection that is given up is reset, or the kernel would go on sending what was lost on the way.
"""

import socket
import struct
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

CONNECT_TIMEOUT = 3.0  # seconds
WRITE_TIMEOUT = 7.0  # seconds since the ledger was asked: well within the lease of 12
ANSWER_TIMEOUT = 11.5  # seconds since the ledger was asked: still within the lease
MAX_ANSWER_SIZE = 1 << 20  # bytes of an answer
MAX_LISTING_SIZE = 8 << 20  # bytes
MIN_KEY_LENGTH = 8  # characters; a shorter key may occur in an answer by chance
MAX_NOTICE_LENGTH = 300  # characters that are logged
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no second
SIMULATOR = "X-Quotewell-Simulator"


@dataclass(frozen=True, slots=True)
class Provider:
    """The provider's address and the key; `timeout` in seconds for a whole call; `entitlement` as in `query`."""

    http: aiohttp.ClientSession
    base_url: str
    key: str = field(repr=False)
    timeout: float
    source: str
    entitlement: str = ""


@dataclass(frozen=True, slots=True)
class _Response:
    """`simulated`: the answer says its prices are simulated. `wait`: from `Retry-After`."""

    status: int
    body: bytes
    simulated: bool
    wait: timedelta | None


@dataclass(slots=True)
class Permit:
    """The right to send one request. `asked`: the monotonic clock, read before the ledger was asked. `sent`: it is used up."""

    grant: Grant
    asked: float
    sent: bool = False


def open_http() -> aiohttp.ClientSession:
    """The session for calls to the provider; use it for nothing else."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, limit=64, socket_factory=_open_socket),
        headers={"Accept": "application/json", "User-Agent": "quotewell"},
        request_class=_Request,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def _open_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    opened = socket.socket(*address[:3])
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    return opened


_permit: ContextVar[Permit] = ContextVar("permit")


class _Request(aiohttp.ClientRequest):
    """Refuse a second write and a late one. aiohttp sends a GET again when its connection drops, even a fresh one."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        permit = _permit.get()
        if permit.sent:
            raise Refusal(Outcome.UNAVAILABLE, "the connection was dropped; a call is not sent twice")
        if time.monotonic() > permit.asked + WRITE_TIMEOUT:
            raise Refusal(Outcome.UNSENT, "the permit ran out before the request was written")
        permit.sent = True
        return await super().send(conn)


async def fetch(provider: Provider, permit: Permit) -> Answer:
    """Make the call that a permit allows. Raise `Refusal` for anything but the requested data."""
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
    if not response.simulated and len(provider.key) >= MIN_KEY_LENGTH and provider.key.encode() in response.body:
        raise Refusal(Outcome.UNKNOWN_NOTICE, "the answer repeats the key: it is neither kept nor shown")
    return answer


async def _get(provider: Provider, permit: Permit) -> _Response:
    """Send the request and read the answer. The body of a 429 is not read: its status says everything."""
    function, subjects = permit.grant.function, permit.grant.subjects
    parameters = {**query(function, subjects, entitlement=provider.entitlement), "apikey": provider.key}
    accept = "*/*" if function is Function.LISTING else "application/json"
    _permit.set(permit)
    total = min(provider.timeout, permit.asked + ANSWER_TIMEOUT - time.monotonic())
    async with provider.http.get(
        URL(f"{provider.base_url}/query").with_query(parameters),
        headers={"Accept": accept},
        allow_redirects=False,
        timeout=aiohttp.ClientTimeout(total=max(total, 0.001), connect=CONNECT_TIMEOUT),
    ) as response:
        most = MAX_LISTING_SIZE if function is Function.LISTING else MAX_ANSWER_SIZE
        body = b"" if response.status == TOO_MANY else await _read(response, most)
        return _Response(response.status, body, SIMULATOR in response.headers, _wait(response.headers))


def _wait(headers: Mapping[str, str]) -> timedelta | None:
    """How long `Retry-After` asks to wait, measured by the answer's `Date` if it has one."""
    sent = read_http_date(headers.get("Date", "")) or datetime.now(UTC)
    return read_wait(headers.get("Retry-After", ""), sent)


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body; raise `Refusal` if it has more than `most` bytes."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > most:
            raise Refusal(Outcome.UNAVAILABLE, f"expected at most {most} bytes")
    return bytes(body)
