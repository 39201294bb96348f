"""A client's connection: aiohttp's, but that a head and a body must come in time, and that what is no HTTP is answered in our own shape.

It knows aiohttp's inside, and nothing of what is asked. aiohttp has no clock for a head or a body: a byte an hour held a connection.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import ERROR, RequestHandler, _ErrInfo
from aiohttp.web_server import Server

from api.http.refusals import refuse, request_id_of
from common.errors import InvalidRequest, QuotewellError

HEAD_TIMEOUT = 8.0  # seconds for a head, from the opening of the connection or from the head's first byte on
BODY_TIMEOUT = 8.0  # seconds for a body that a handler reads
LINGER = 8.0  # seconds for one that none reads, so that its sender gets to read the answer
FAREWELL = 1.0  # seconds that what is no HTTP is read on for the same reason
KEEPALIVE_TIMEOUT = 75  # seconds without a request; longer than what a proxy in front keeps an idle connection

log = structlog.get_logger(__name__)


class SlowBody(InvalidRequest):
    """Send the whole body at once; the connection is closed."""


class UnknownExpectation(InvalidRequest):
    """Expect nothing but 100-continue."""

    status = 417


class Connection(RequestHandler):
    """One connection. A head that is late ends it without an answer, as idleness does."""

    __slots__ = ("_due", "_gone", "_heads", "_timer")

    def __init__(self, manager: Server, **options: Any) -> None:
        super().__init__(manager, **({"lingering_time": LINGER} | options))
        self._heads = -1  # that had come when the one that is waited for began
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._gone: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        waiter = self._waiter
        if waiter is None or not waiter.done():  # not what it mostly is: a whole request, which was waited for
            self._look_closer(data)

    def _look_closer(self, data: bytes) -> None:
        """Part of a head, to whoever waits for a whole one; else part of a body, a request ahead of its turn, or nonsense."""
        if self._waiter is not None and data:
            self._await_head()
        elif len(self._messages) == 1 and isinstance(self._messages[0][0], _ErrInfo):
            self._break_off()

    def _await_head(self) -> None:
        """A head begins; one that began already has its time."""
        if self._heads != self._request_count:
            self._heads, self._due = self._request_count, self._loop.time() + HEAD_TIMEOUT
            if self._timer is None:
                self._timer = self._loop.call_at(self._due, self._end_late)

    def _end_late(self) -> None:
        """A head that came in time left its timer as it was, which costs it nothing: here it is found out."""
        self._timer = None
        if self._heads != self._request_count:
            return
        if self._loop.time() < self._due:
            self._timer = self._loop.call_at(self._due, self._end_late)
        else:
            self.force_close()

    def _break_off(self) -> None:
        """A body went wrong on its way: whoever reads it would wait for the rest for ever, and what follows cannot be told from it."""
        request = self._current_request
        if request is not None and not request.content.is_eof():
            self._messages.clear()
            request.content.set_exception(web.RequestPayloadError("broken chunks"))
            request.content.feed_eof()
            self.close()

    def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> Coroutine[Any, Any, tuple[web.StreamResponse, bool]]:
        if resp.status in (InvalidRequest.status, UnknownExpectation.status):
            return self._finish_refusal(request, resp, start_time)
        return super().finish_response(request, resp, start_time)

    async def _finish_refusal(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """An expectation is judged ahead of the middlewares. What is no HTTP is read on, or a reset would take the answer away."""
        if resp.status == UnknownExpectation.status:
            resp = refuse(UnknownExpectation("expected 100-continue, or no Expect"), request_id_of(request))
        finished = await super().finish_response(request, resp, start_time)
        if request._message is ERROR and self.transport is not None and self.transport.can_write_eof():
            self.close()
            self.transport.write_eof()
            self._gone = self._loop.create_future()
            await asyncio.wait({self._gone}, timeout=FAREWELL)
        return finished

    def log_exception(self, *args: Any, exc_info: Any = None, **_: Any) -> None:
        """What a client sends wrong, such as a body that its own encoding does not fit, is no error of ours: no traceback for it."""
        if isinstance(exc_info, web.RequestPayloadError):
            log.info("request_malformed", kind=type(exc_info).__name__)
        else:
            log.error("connection_failed", message=str(args[0]) if args else "", exc_info=exc_info)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  it repeats what was sent
    ) -> web.StreamResponse:
        """The last answer of a connection, without a word of the exception."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        request_id = request_id_of(request)
        if status == InvalidRequest.status:
            log.info("request_malformed", kind=type(exc).__name__, request_id=request_id)
            error: QuotewellError = InvalidRequest(_told(exc, self.max_field_size))
        else:
            log.error("request_failed", exc_info=exc, request_id=request_id)
            error = QuotewellError("something went wrong here; the log has it under this request_id")
        return _last(refuse(error, request_id))


def _told(exc: BaseException | None, longest: int) -> str:
    if isinstance(exc, LineTooLong):
        return f"expected a request line and headers of at most {longest} bytes each"
    return "expected a well-formed request in HTTP/1.1"


def _last(answer: web.Response) -> web.Response:
    answer.force_close()
    answer.headers["Connection"] = "close"  # aiohttp says so in HTTP/1.1 only
    return answer


def hang_up(request: web.Request, answer: web.Response) -> web.Response:
    """Make an answer the last of its connection, which does not wait for the rest of the request."""
    request.protocol._lingering_time = 0.0
    return _last(answer)
