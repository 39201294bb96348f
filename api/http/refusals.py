"""An error as an answer, always `{error, code, request_id}`; the log has the same request id."""

import re
import uuid

from aiohttp import web

from api.http.answers import ALWAYS, NO_STORE
from common.errors import (
    InsufficientScope,
    InvalidToken,
    MalformedAuthorization,
    NotNow,
    NoToken,
    QuotewellError,
    UnsupportedMediaType,
)

UNEXPECTED = "something went wrong here; the log has it under this request_id"
CODINGS = ("gzip", "deflate")  # of a request's body
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class UnsupportedCoding(UnsupportedMediaType):
    """Send the body as it is, or compressed with one of the codings in `Accept-Encoding`."""

    def __init__(self) -> None:
        super().__init__(f"expected a body without Content-Encoding, or with {' or '.join(CODINGS)}")


def request_id_of(request: web.BaseRequest) -> str:
    """The client's own id if it is well-formed, else a new one."""
    offered = request.headers.get("X-Request-ID")
    return offered if offered is not None and _ID.fullmatch(offered) else new_request_id()


def new_request_id() -> str:
    return uuid.uuid4().hex


def refuse(error: QuotewellError, request_id: str) -> web.Response:
    """The whole answer, also for a request that never reaches a middleware."""
    body: dict[str, object] = {"error": str(error), "code": error.code, "request_id": request_id}
    headers = {**NO_STORE, "X-Request-ID": request_id, **ALWAYS}
    if isinstance(error, NotNow):
        body["retry_after"] = error.retry_after
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, UnsupportedCoding):
        headers["Accept-Encoding"] = ", ".join(CODINGS)
    challenge = challenge_of(error)
    if challenge is not None:
        headers["WWW-Authenticate"] = challenge
    return web.json_response(body, status=error.status, headers=headers)


def challenge_of(error: QuotewellError) -> str | None:
    """The value of `WWW-Authenticate` (RFC 6750, 3). A request without a token gets no error code: it did nothing wrong yet."""
    parts = ['realm="quotewell"']
    if isinstance(error, MalformedAuthorization):
        parts.append('error="invalid_request"')
    elif isinstance(error, InsufficientScope):
        parts += ['error="insufficient_scope"', *([f'scope="{error.scope}"'] if error.scope else [])]
    elif isinstance(error, InvalidToken) and not isinstance(error, NoToken):
        parts.append('error="invalid_token"')
    elif error.status != 401:
        return None
    return f"Bearer {', '.join(parts)}"


def encode(answer: web.Response) -> bytes:
    """An answer as bytes, the last of its connection, for a client that has not sent its request yet."""
    body = answer.body if isinstance(answer.body, bytes) else b""
    headers = {**answer.headers, "Content-Length": str(len(body)), "Connection": "close"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {answer.status} {answer.reason}\r\n{lines}\r\n".encode() + body
