"""CORS: pages and apps of the origins listed in `CORS_ORIGINS` may read every answer, errors included.

Credentials are allowed, because some clients always send them; the API sets and reads no cookie.
"""

import re
from functools import cache

from aiohttp import hdrs, web

from api.http.keys import RESOURCES
from api.http.middlewares import Handler

READ = ("Authorization", "Content-Type", "If-None-Match", "Last-Event-ID", "Prefer", "X-Request-ID")
UNREAD = (  # headers of browsers' libraries; a preflight that lacks one fails the request
    "Accept",  # these three need permission if they are long
    "Accept-Language",
    "Content-Language",
    "Cache-Control",
    "Pragma",
    "If-Modified-Since",
    "X-Requested-With",
    "X-CSRF-Token",
    "X-XSRF-TOKEN",
    "X-Correlation-ID",
    "traceparent",  # W3C Trace Context, W3C Baggage
    "tracestate",
    "baggage",
    "sentry-trace",
    "b3",  # Zipkin
    "X-B3-TraceId",
    "X-B3-SpanId",
    "X-B3-ParentSpanId",
    "X-B3-Sampled",
    "X-B3-Flags",
    "uber-trace-id",  # Jaeger
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-origin",
    "x-datadog-sampling-priority",
    "elastic-apm-traceparent",
    "newrelic",
    "Request-Id",  # Application Insights
    "Request-Context",
    "X-Amzn-Trace-Id",
    "X-Cloud-Trace-Context",
)
HEADERS = ", ".join(READ + UNREAD)
EXPOSED = "ETag, Last-Modified, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-ID"
PREFLIGHT_TTL = 600  # seconds that a browser may cache the answer to a preflight
LABEL = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"  # one label of a host name, as browsers write it
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
    response.headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
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
    """Whether an origin is listed, compared exactly; `*` as the port allows any port and none, as the first label any one label."""
    return _pattern(origins).fullmatch(origin) is not None


@cache
def _pattern(origins: tuple[str, ...]) -> re.Pattern[str]:
    if not origins:
        return MATCHES_NOTHING
    return re.compile("|".join(_origin_pattern(origin) for origin in origins))


def _origin_pattern(origin: str) -> str:
    listed = origin.removesuffix(":*")
    port = "" if listed == origin else "(:[0-9]{1,5})?"
    scheme, wildcard, domain = listed.partition("://*.")
    if not wildcard:
        return re.escape(listed) + port
    return f"{scheme}://{LABEL}[.]{re.escape(domain)}{port}"
