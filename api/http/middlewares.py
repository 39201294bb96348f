"""Middlewares of every request: an id, a log line, errors in one shape, and content negotiation."""

import re
import time
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from api.http import metrics, rate_limits
from api.http.answers import ALWAYS
from api.http.connections import SlowBody, hang_up
from api.http.keys import REQUEST_ID
from api.http.refusals import UNEXPECTED, refuse, request_id_of
from api.http.requests import route_of
from common.errors import (
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    PayloadTooLarge,
    QuotewellError,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SLOW_REQUEST = 0.5  # seconds
_REFUSED = re.compile(r"q=0(\.0*)?\s*(;|$)")
log = structlog.get_logger(__name__)


def public(handler: Handler) -> Handler:
    """Mark a handler as open to anybody; every other one needs a token."""
    handler.is_public = True  # type: ignore[attr-defined]
    return handler


def read(handler: Handler) -> Handler:
    """Mark a handler of market data: open to anybody, unless `READS=accounts`."""
    handler.is_read = True  # type: ignore[attr-defined]
    return public(handler)


def ticketed(handler: Handler) -> Handler:
    """Mark a handler that proves its caller itself where it needs to: by a ticket (api/accounts/tickets.py) or a token."""
    handler.takes_ticket = True  # type: ignore[attr-defined]
    return handler


def is_open(handler: object, *, public_reads: bool) -> bool:
    """Whether a handler answers without a token."""
    return getattr(handler, "is_public", False) and (public_reads or not getattr(handler, "is_read", False))


def scoped(scope: str) -> Callable[[Handler], Handler]:
    """Mark a handler as open only to tokens with this scope."""

    def mark(handler: Handler) -> Handler:
        handler.scope = scope  # type: ignore[attr-defined]
        return handler

    return mark


def readable(handler: Handler) -> Handler:
    """Mark a handler as open to API keys, too. They may also use public handlers, and no other."""
    handler.is_readable = True  # type: ignore[attr-defined]
    return handler


def is_readable(handler: object) -> bool:
    """Whether a handler answers to an API key."""
    return getattr(handler, "is_readable", False) or getattr(handler, "is_public", False)


@web.middleware
async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id, which its log lines and its answer carry, and add the headers of every answer."""
    request_id = request[REQUEST_ID] = request_id_of(request)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id)
    begun = time.monotonic()
    response = await handler(request)
    took = time.monotonic() - begun
    metrics.note_request(request, response.status, took)
    _log(request, response.status, took)
    if not response.prepared:
        response.headers["X-Request-ID"] = request_id
        if "no-store" in response.headers.get("Cache-Control", ""):  # a cache would give one client's limits to another
            response.headers.update(rate_limits.headers(request))
        for name, value in ALWAYS.items():
            response.headers.setdefault(name, value)
    return response


def _log(request: web.Request, status: int, took: float) -> None:
    """Log writes, errors and slow requests, but no ordinary read."""
    if request.method not in ("GET", "HEAD", "OPTIONS") or status >= 400 or took > SLOW_REQUEST:
        log.info("request", method=request.method, route=route_of(request), status=status, ms=round(1000 * took))


@web.middleware
async def shape_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into `{error, code, request_id}`. The text of an unexpected error goes to the log only."""
    try:
        return await handler(request)
    except SlowBody as error:
        return hang_up(request, _answer(request, error))
    except QuotewellError as error:
        return _answer(request, error)
    except web.HTTPNotFound:
        return _answer(request, NotFound("there is nothing at this address; /api/docs has what there is"))
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        answer = _answer(request, MethodNotAllowed(f"expected {allowed}, not {error.method}"))
        answer.headers["Allow"] = allowed
        return answer
    except web.HTTPRequestEntityTooLarge:
        return _answer(request, PayloadTooLarge("expected a body of at most 64 KiB"))
    except web.HTTPException:
        raise
    except Exception:
        log.exception("request_failed", method=request.method, route=route_of(request))
        return _answer(request, QuotewellError(UNEXPECTED))


def _answer(request: web.Request, error: QuotewellError) -> web.Response:
    metrics.note_refusal(error)
    return refuse(error, request[REQUEST_ID])


@web.middleware
async def negotiate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a request whose `Accept` does not allow the route's media type. Streams are served whatever it says."""
    contract = getattr(request.match_info.handler, "contract", None)
    media = "application/json" if contract is None else contract.media
    found = request.match_info.http_exception is None and media != "text/event-stream"
    if found and not accepts(request.headers.get("Accept"), media):
        raise NotAcceptable(f"expected an Accept with {media}, not {request.headers['Accept'][:80]!r}")
    return await handler(request)


def accepts(header: str | None, media: str) -> bool:
    """Whether an Accept header allows a media type; an empty one allows everything."""
    if header is None or not header.strip():
        return True
    wanted = {media, f"{media.partition('/')[0]}/*", "*/*"}
    ranges = (part.partition(";") for part in header.lower().split(","))
    return any(name.strip() in wanted and not _REFUSED.search(rest) for name, _, rest in ranges)
