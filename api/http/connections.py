"""Everything that replaces or reads aiohttp's internals: time limits for heads and bodies, and our error shape for malformed requests.

Private names used: `RequestHandler._current_request`, `_lingering_time`, `_loop`, `_messages`, `_request_count`, `_upgraded`, `_waiter`;
`BaseRequest._message`; `web_protocol._ErrInfo` and `ERROR`; `web_server.RequestHandler`; `web_response.SERVER_SOFTWARE`;
`web_urldispatcher._default_expect_handler`. They come from
https://github.com/aio-libs/aiohttp/blob/v3.14.5/aiohttp/web_protocol.py; tests/api/http/test_aiohttp_names.py fails when one vanishes.

- Time limits: without them a client that sends one byte an hour keeps its connection for ever. We found no aiohttp issue that asks for
  them. Remove them when the server has a read timeout, or when a proxy with one (nginx: `client_header_timeout`) is required.
- Error shape: https://github.com/aio-libs/aiohttp/issues/3287 (open). Remove when malformed requests reach a middleware or a hook.
- `Server` header: https://github.com/aio-libs/aiohttp/issues/3607. Remove when it is an option of `web.Server`.
- `Upgrade`: after a request for a protocol other than WebSocket, the parser drops what came behind it in the same packet, and reads on in
  the middle of the next request. Remove when it reads on behind the request.
- `Expect`: aiohttp sends 100 Continue before anything has looked at the request. Remove when it sends it at the first read of the body.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog
from aiohttp import StreamReader, web, web_response, web_server, web_urldispatcher
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import ContentEncodingError, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import ERROR, RequestHandler, _ErrInfo
from aiohttp.web_server import Server

from api.http.answers import SERVER
from api.http.expectations import UnknownExpectation, check_expectation, waits
from api.http.heads import find_fault
from api.http.peers import peers_of
from api.http.refusals import UNEXPECTED, UnsupportedCoding, encode, new_request_id, refuse, request_id_of
from common.errors import ClientError, InvalidRequest, QuotewellError

HEAD_TIMEOUT = 8.0  # seconds for a head, from the opening of the connection or from the head's first byte
BODY_TIMEOUT = 8.0  # seconds for a body that a handler reads
LINGER_TIMEOUT = 8.0  # seconds to drain a body that no handler reads, so that the client can read the answer
MALFORMED_LINGER_TIMEOUT = 1.0  # seconds to drain after a malformed request, for the same reason
KEEPALIVE_TIMEOUT = 75  # seconds without a request; longer than a proxy in front keeps an idle connection
END_OF_HEAD = b"\r\n\r\n"

log = structlog.get_logger(__name__)


class SlowBody(InvalidRequest):
    """Send the whole body at once; the connection is closed."""


class ClientGone(ClientError):
    """The client hung up before its whole body had arrived. Nobody gets this answer; logs and metrics show its status."""

    status = 499
    code = "client_gone"


class Connection(RequestHandler):
    """One connection. A late head closes it without an answer, as idleness does."""

    __slots__ = ("_due", "_gone", "_heads", "_last_body", "_peers", "_timer")

    def __init__(self, manager: Server, **options: Any) -> None:
        super().__init__(manager, **({"lingering_time": LINGER_TIMEOUT} | options))
        self._heads = -1  # number of requests received when the pending head began
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._gone: asyncio.Future[None] | None = None
        self._last_body: StreamReader | None = None  # of the last request that this connection serves
        self._peers = peers_of(manager)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._await_head()
        refused = self._peers.enter(self, transport.get_extra_info("peername")) if self._peers is not None else None
        if refused is not None and self.transport is not None:
            self.transport.write(encode(refuse(refused, new_request_id())))
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if self._peers is not None:
            self._peers.leave(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def is_idle(self) -> bool:
        """Whether it waits for a request."""
        return self._waiter is not None and not self._waiter.done()

    def data_received(self, data: bytes) -> None:
        if self._last_body is not None and self._last_body.is_eof():
            return
        known = self._request_count
        super().data_received(data)
        if self._request_count != known:
            self._check_heads(self._request_count - known, data)
        waiter = self._waiter
        if waiter is None or not waiter.done():  # the usual case, a whole request on an idle connection, ends here
            self._inspect(data)

    def _check_heads(self, number: int, data: bytes) -> None:
        """Check the requests that have just been received; `data`: the bytes that ended the last head."""
        for place in range(-number, 0):
            message, body = self._messages[place]
            if isinstance(message, _ErrInfo):
                return
            if (fault := find_fault(message)) is not None:
                self._messages[place] = (_ErrInfo(fault.status, fault, str(fault)), EMPTY_PAYLOAD)
            elif message.upgrade:  # the parser stops at one, so it is the last of these
                self._decline_upgrade(message, body, data)

    def _decline_upgrade(self, message: RawRequestMessage, body: StreamReader, data: bytes) -> None:
        """Ignore an `Upgrade` (RFC 9110, 7.8).

        The connection goes on if the request came alone. Otherwise the parser may have lost what was behind it, so it is the last request.
        """
        is_first = self._waiter is not None and len(self._messages) == 1
        ends_here = data.find(END_OF_HEAD) == len(data) - len(END_OF_HEAD) and data[:1] not in (b"\r", b"\n")
        if not (is_first and ends_here and body.is_eof()) or self._upgraded:
            self._messages[-1] = (message._replace(should_close=True), body)
            self._last_body = body

    def _inspect(self, data: bytes) -> None:
        """Look at a partial head while idle; otherwise at body data, a pipelined request, or garbage."""
        if self._waiter is not None and data:
            self._await_head()
        elif len(self._messages) == 1 and isinstance(self._messages[0][0], _ErrInfo):
            self._break_off()

    def _await_head(self) -> None:
        """Start the time limit of a head. A head that has begun keeps its limit."""
        if self._heads != self._request_count:
            self._heads, self._due = self._request_count, self._loop.time() + HEAD_TIMEOUT
            if self._timer is None:
                self._timer = self._loop.call_at(self._due, self._end_late)

    def _end_late(self) -> None:
        """Close the connection if its head is late.

        A head that arrives does not cancel the timer, because that would cost every request; the timer finds out here.
        """
        self._timer = None
        if self._heads != self._request_count:
            return
        if self._loop.time() < self._due:
            self._timer = self._loop.call_at(self._due, self._end_late)
        else:
            self.force_close()

    def _break_off(self) -> None:
        """Fail a body whose encoding broke.

        Its reader would wait for the rest for ever, and nobody can tell where the next request begins.
        """
        request = self._current_request
        if request is not None and not request.content.is_eof():
            self._messages.clear()
            request.content.set_exception(web.RequestPayloadError("broken chunks"))
            request.content.feed_eof()
            self.close()

    def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> Coroutine[Any, Any, tuple[web.StreamResponse, bool]]:
        if request._message is ERROR or resp.status == UnknownExpectation.status:
            return self._finish_refusal(request, resp, start_time)
        if waits(request):
            _last(resp)  # the body may come or not, so nobody can tell where the next request begins
        return super().finish_response(request, resp, start_time)

    async def _finish_refusal(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Shape the refusal of an `Expect` header, which aiohttp writes before any middleware runs.

        After a malformed request keep reading for a moment: closing at once would reset the connection, and the client could lose
        the answer.
        """
        if resp.status == UnknownExpectation.status:
            resp = refuse(UnknownExpectation("expected 100-continue, or no Expect"), request_id_of(request))
        finished = await super().finish_response(request, resp, start_time)
        if request._message is ERROR and self.transport is not None and self.transport.can_write_eof():
            self.close()
            self.transport.write_eof()
            self._gone = self._loop.create_future()
            await asyncio.wait({self._gone}, timeout=MALFORMED_LINGER_TIMEOUT)
        return finished

    def log_exception(self, *args: Any, exc_info: Any = None, **_: Any) -> None:
        """Log a malformed body without a traceback: it is the client's error."""
        if isinstance(exc_info, web.RequestPayloadError):
            log.info("request_malformed", kind=type(exc_info).__name__)
        else:
            log.error("connection_failed", message=str(args[0]) if args else "", exc_info=exc_info)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  it quotes the request
    ) -> web.StreamResponse:
        """The last answer on a connection; it does not show the exception's text."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        request_id = request_id_of(request)
        if status == InvalidRequest.status:
            log.info("request_malformed", kind=type(exc).__name__, request_id=request_id)
            error = _explain(exc, self.max_field_size)
        else:
            log.error("request_failed", exc_info=exc, request_id=request_id)
            error = QuotewellError(UNEXPECTED)
        return _last(refuse(error, request_id))


def _explain(exc: BaseException | None, max_bytes: int) -> QuotewellError:
    if isinstance(exc, ClientError):
        return exc
    if isinstance(exc, ContentEncodingError):
        return UnsupportedCoding()
    if isinstance(exc, LineTooLong):
        return InvalidRequest(f"expected a request line and headers of at most {max_bytes} bytes each")
    return InvalidRequest("expected a well-formed request in HTTP/1.1")


Refusal = TypeVar("Refusal", bound=web.StreamResponse)


def _last(answer: Refusal) -> Refusal:
    answer.force_close()
    answer.headers["Connection"] = "close"  # aiohttp adds it for HTTP/1.1 only
    return answer


def hang_up(request: web.Request, answer: web.Response) -> web.Response:
    """Make an answer the last of its connection, and do not wait for the rest of the request."""
    request.protocol._lingering_time = 0.0
    return _last(answer)


def patch_aiohttp() -> None:
    """Have aiohttp serve with `Connection`, our `Server` header and our `Expect`, in every application of this process."""
    web_urldispatcher._default_expect_handler = check_expectation
    web_response.SERVER_SOFTWARE = SERVER  # type: ignore[attr-defined]
    web_server.RequestHandler = Connection  # type: ignore[attr-defined]
