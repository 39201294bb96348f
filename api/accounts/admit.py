"""Authentication and rate limits: every route needs a token, unless it is marked public."""

from aiohttp import web

from api.accounts.requesters import verify
from api.http import rate_limits
from api.http.keys import CALLER
from api.http.middlewares import Handler
from common.errors import InsufficientScope, QuotewellError


@web.middleware
async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Deny by default: only public handlers work without a token. Unknown routes still answer 404 and 405.

    Count the request here, because the client is known from here on; a request with a bad token counts for its address.
    """
    target = request.match_info.handler
    if not getattr(target, "is_public", False) and request.match_info.http_exception is None:
        try:
            request[CALLER] = await verify(request)
        except QuotewellError:
            rate_limits.count(request)
            raise
    rate_limits.count(request)
    needed = getattr(target, "scope", None)
    if needed is not None and needed not in request[CALLER].scope.split():
        raise InsufficientScope(f"this needs the scope {needed}", scope=needed)
    return await handler(request)
