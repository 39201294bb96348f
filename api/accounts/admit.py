"""Authentication and rate limits: every route needs a token, unless it is marked public. API keys may only read."""

from contextlib import suppress

from aiohttp import web

from api.accounts.known_keys import key_of
from api.accounts.requesters import verify
from api.http import rate_limits
from api.http.keys import CALLER
from api.http.middlewares import Handler
from common.errors import InsufficientScope, InvalidToken, QuotewellError, StoreUnavailable


@web.middleware
async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Deny by default: only public handlers work without a token. Unknown routes still answer 404 and 405.

    Count the request here, because the client is known from here on; a request with a bad token counts for its address.
    """
    target = request.match_info.handler
    is_public = getattr(target, "is_public", False)
    if not is_public and request.match_info.http_exception is None:
        try:
            request[CALLER] = await verify(request)
        except QuotewellError:
            rate_limits.count(request)
            raise
    elif is_public and key_of(request) is not None:
        with suppress(InvalidToken, StoreUnavailable):  # a stranger's, then
            request[CALLER] = await verify(request)
    rate_limits.count(request)
    if not is_public and CALLER in request and request[CALLER].is_key and not getattr(target, "is_readable", False):
        raise InsufficientScope("an API key may only read quotes and the watchlist; this needs a login")
    needed = getattr(target, "scope", None)
    if needed is not None and needed not in request[CALLER].scope.split():
        raise InsufficientScope(f"this needs the scope {needed}")
    return await handler(request)
