"""Which pages of other origins may read the answers: those of the exact list in `CORS_ORIGINS`, all answers, errors too. Cookies play no
part, for nothing here is done by a cookie."""

import re
from functools import cache

from aiohttp import hdrs, web

from api.http.keys import RESOURCES
from api.http.middlewares import Handler

HEADERS = "Authorization, Content-Type, If-None-Match, Last-Event-ID, Prefer, X-Request-ID"
EXPOSED = "ETag, Last-Modified, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-ID"
PREFLIGHT_TTL = 600  # seconds that a browser may remember what it was allowed


@web.middleware
async def share(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let an allowed origin's page read the answer, whatever it is; answer a browser's question beforehand, whoever's page it is."""
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
    """What is asked for by a preflight: the methods of its path, as the router knows them. None for any other request."""
    if request.method != hdrs.METH_OPTIONS or hdrs.ACCESS_CONTROL_REQUEST_METHOD not in request.headers:
        return None
    refusal = request.match_info.http_exception
    return ", ".join(sorted(refusal.allowed_methods)) if isinstance(refusal, web.HTTPMethodNotAllowed) else None


def allows(origins: tuple[str, ...], origin: str) -> bool:
    """Whether an origin is one of the list, letter by letter; a port `*` stands for any and for none."""
    return _pattern(origins).fullmatch(origin) is not None


@cache
def _pattern(origins: tuple[str, ...]) -> re.Pattern[str]:
    exact = (re.escape(origin.removesuffix(":*")) + "(:[0-9]{1,5})?" * origin.endswith(":*") for origin in origins)
    return re.compile("|".join(exact) or "(?!)")
