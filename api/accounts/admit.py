"""Whom the API lets in: nobody without a token, but to a route that says it is public; and whom a request counts for."""

from aiohttp import web

from api.accounts.requesters import verify
from api.http import rate_limits
from api.http.keys import CALLER
from api.http.middlewares import Handler
from common.errors import InsufficientScope, QuotewellError


@web.middleware
async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Deny by default: only a public handler goes without a token. What is not there stays 404 and 405.

    From here on it is known whom a request counts for: with a bad token it is the address's.
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
        raise InsufficientScope(f"this needs the scope {needed}")
    return await handler(request)
