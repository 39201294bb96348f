"""CORS: pages from the origins listed in `CORS_ORIGINS` may read every answer, errors included. The API uses no cookies."""

import re
from functools import cache

from aiohttp import hdrs, web

from api.http.keys import RESOURCES
from api.http.middlewares import Handler

HEADERS = "Authorization, Content-Type, If-None-Match, Last-Event-ID, Prefer, X-Request-ID"
EXPOSED = "ETag, Last-Modified, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-ID"
PREFLIGHT_TTL = 600  # seconds that a browser may cache the answer to a preflight
MATCHES_NOTHING = re.compile("(?!)")


@web.middleware
async def allow_origins(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let pages of allowed origins read the answer, and answer every preflight."""
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None:
        return await handler(request)
    methods = _methods(request)
    response = await handler(request) if methods is None else web.Response(status=204)
    if not allows(request.app[RESOURCES].settings.cors_origins, origin):
        return response
    response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
    if methods is None:
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED
    else:
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = methods
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = HEADERS
        response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = str(PREFLIGHT_TTL)
    return response


def _methods(request: web.Request) -> str | None:
    """The methods that the router has for the path of a preflight; None if the request is not a preflight."""
    if request.method != hdrs.METH_OPTIONS or hdrs.ACCESS_CONTROL_REQUEST_METHOD not in request.headers:
        return None
    refusal = request.match_info.http_exception
    return ", ".join(sorted(refusal.allowed_methods)) if isinstance(refusal, web.HTTPMethodNotAllowed) else None


def allows(origins: tuple[str, ...], origin: str) -> bool:
    """Whether an origin is listed, compared exactly; the port `*` allows any port and none."""
    return _pattern(origins).fullmatch(origin) is not None


@cache
def _pattern(origins: tuple[str, ...]) -> re.Pattern[str]:
    if not origins:
        return MATCHES_NOTHING
    return re.compile("|".join(_origin_pattern(origin) for origin in origins))


def _origin_pattern(origin: str) -> str:
    if origin.endswith(":*"):
        return re.escape(origin.removesuffix(":*")) + "(:[0-9]{1,5})?"
    return re.escape(origin)
