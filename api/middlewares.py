"""What happens to every request: an id, a log line when it matters, errors in one shape, and no way in without a token."""

import re
import time
import uuid
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import HttpVersion11, hdrs, web

from api.answers import SAFETY, Ready, matches
from api.state import CALLER, MEMORY, READS, REQUEST_ID, TOKENS, Caller
from common.errors import (
    InsufficientScope,
    InvalidToken,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    NotNow,
    PayloadTooLarge,
    QuotewellError,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SLOW = 0.5  # seconds
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_REFUSED = re.compile(r"q=0(\.0*)?\s*(;|$)")
log = structlog.get_logger(__name__)


def public(handler: Handler) -> Handler:
    """Mark a handler as open to anybody; every other one needs a token."""
    handler.is_public = True  # type: ignore[attr-defined]
    return handler


def scoped(scope: str) -> Callable[[Handler], Handler]:
    """Mark a handler as open only to tokens with this scope."""

    def mark(handler: Handler) -> Handler:
        handler.scope = scope  # type: ignore[attr-defined]
        return handler

    return mark


@web.middleware
async def answer_hot(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Write an answer that is ready, past everything else: no encoding, no store, no log line. Whatever is unusual goes the long way."""
    memory = request.app[MEMORY]
    if memory.followed and request.method == "GET" and request.keep_alive and request.version == HttpVersion11:
        now = time.time()
        answer = memory.answers.find(request.raw_path, now)
        if answer is not None and hdrs.ORIGIN not in request.headers and _takes_json(request.headers.get(hdrs.ACCEPT)):
            if answer.symbol:
                request.app[READS].count(answer.symbol, by=request.remote or "")
            status = 304 if matches(request.headers.get(hdrs.IF_NONE_MATCH), answer.etag) else 200
            return Ready(answer.raw(status, now, _request_id(request)), status)
    return await handler(request)


def _takes_json(accept: str | None) -> bool:
    """The usual headers, told at a glance; any other is looked at closely on the long way."""
    return accept is None or accept in ("*/*", "application/json") or accept.startswith("application/json, ")


def _request_id(request: web.Request) -> str:
    """The client's own, if it is a plain one, else a new one."""
    offered = request.headers.get("X-Request-ID")
    return offered if offered is not None and _ID.fullmatch(offered) else uuid.uuid4().hex


@web.middleware
async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id that its log lines and its answer carry."""
    request_id = request[REQUEST_ID] = _request_id(request)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id)
    begun = time.monotonic()
    response = await handler(request)
    _log(request, response.status, time.monotonic() - begun)
    if not response.prepared:
        response.headers["X-Request-ID"] = request_id
        response.headers.update(SAFETY)
    return response


def _log(request: web.Request, status: int, took: float) -> None:
    """A line for what is not an ordinary read: writes, refusals, and what took long. The route and not the path: no caller's text."""
    if request.method not in ("GET", "HEAD") or status >= 400 or took > SLOW:
        resource = request.match_info.route.resource
        route = None if resource is None else resource.canonical
        log.info("request", method=request.method, route=route, status=status, ms=round(1000 * took))


@web.middleware
async def shape_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into `{error, code, request_id}`; the text of an unexpected one stays in the log."""
    try:
        return await handler(request)
    except QuotewellError as error:
        return _answer(request, error)
    except web.HTTPNotFound:
        return _answer(request, NotFound(f"there is nothing at {request.path[:100]}"))
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
        log.exception("request_failed", method=request.method, path=request.path)
        return _answer(request, QuotewellError("something went wrong here; the log has it under this request_id"))


def _answer(request: web.Request, error: QuotewellError) -> web.Response:
    body: dict[str, object] = {"error": str(error), "code": error.code, "request_id": request[REQUEST_ID]}
    headers = {"Cache-Control": "no-store"}
    if isinstance(error, NotNow):
        body["retry_after"] = error.retry_after
        headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        wrong = ', error="invalid_token"' if isinstance(error, InvalidToken) else ""
        headers["WWW-Authenticate"] = f'Bearer realm="quotewell"{wrong}'
    return web.json_response(body, status=error.status, headers=headers)


@web.middleware
async def negotiate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what accepts nothing that the route answers. A stream is served to whoever asks for it."""
    contract = getattr(request.match_info.handler, "contract", None)
    media = "application/json" if contract is None else contract.media
    found = request.match_info.http_exception is None and media != "text/event-stream"
    if found and not accepts(request.headers.get("Accept"), media):
        raise NotAcceptable(f"expected an Accept with {media}, not {request.headers['Accept'][:80]!r}")
    return await handler(request)


def accepts(header: str | None, media: str) -> bool:
    """Whether an Accept header allows a media type; one that names nothing allows everything."""
    if header is None or not header.strip():
        return True
    wanted = {media, f"{media.partition('/')[0]}/*", "*/*"}
    ranges = (part.partition(";") for part in header.lower().split(","))
    return any(name.strip() in wanted and not _REFUSED.search(rest) for name, _, rest in ranges)


@web.middleware
async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Deny by default: only a public handler goes without a token. What is not there stays 404 and 405."""
    target = request.match_info.handler
    if getattr(target, "is_public", False) or request.match_info.http_exception is not None:
        return await handler(request)
    claims = await request.app[TOKENS].verify(request)
    request[CALLER] = Caller(int(claims["sub"]), str(claims.get("scope", "")))
    needed = getattr(target, "scope", None)
    if needed is not None and needed not in request[CALLER].scope.split():
        raise InsufficientScope(f"this needs the scope {needed}")
    return await handler(request)
