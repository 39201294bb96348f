"""Authentication and rate limits: every route needs a token, unless it is marked public. API keys may only read."""

from contextlib import suppress

from aiohttp import hdrs, web

from api.accounts.known_keys import key_of
from api.accounts.requesters import verify
from api.http import rate_limits
from api.http.keys import CALLER, RESOURCES
from api.http.middlewares import Handler, is_open, is_readable
from common.errors import InsufficientScope, InvalidToken, QuotewellError, StoreUnavailable

FOR_ACCOUNTS = "private, no-cache"  # a cache must neither share the answer nor serve it to a login that has ended


@web.middleware
async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Deny by default: only public handlers work without a token. Unknown routes still answer 404 and 405.

    Count the request here, because the client is known from here on; a request with a bad token counts for its address.
    """
    target = request.match_info.handler
    public_reads = request.app[RESOURCES].settings.public_reads
    is_public = is_open(target, public_reads=public_reads)
    proves_itself = getattr(target, "takes_ticket", False) or request.match_info.http_exception is not None
    if not is_public and not proves_itself:
        try:
            request[CALLER] = await verify(request)
        except QuotewellError:
            rate_limits.count(request)
            raise
    elif is_public and key_of(request) is not None:
        with suppress(InvalidToken, StoreUnavailable):  # a stranger's, then
            request[CALLER] = await verify(request)
    rate_limits.count(request)
    if CALLER in request and request[CALLER].is_key and not is_readable(target):
        raise InsufficientScope("an API key may only read quotes and the watchlist; this needs a login")
    needed = getattr(target, "scope", None)
    if needed is not None and needed not in request[CALLER].scope.split():
        raise InsufficientScope(f"this needs the scope {needed}", scope=needed)
    response = await handler(request)
    if not public_reads and getattr(target, "is_read", False):
        response.headers[hdrs.CACHE_CONTROL] = FOR_ACCOUNTS
    return response
