"""Authentication and rate limits: every route needs a token, unless it is marked public."""

from aiohttp import hdrs, web

from api.accounts.logins import redeem
from api.accounts.requesters import verify
from api.http import rate_limits
from api.http.keys import CALLER, RESOURCES, Caller
from api.http.middlewares import Handler, is_open
from common.errors import InsufficientScope, QuotewellError

FOR_ACCOUNTS = "private, no-cache"  # a cache must neither share the answer nor serve it to a login that has ended


@web.middleware
async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Deny by default: only public handlers work without a token. Unknown routes still answer 404 and 405.

    Count the request here, because the client is known from here on; a request with a bad token counts for its address.
    """
    target = request.match_info.handler
    public_reads = request.app[RESOURCES].settings.public_reads
    if not is_open(target, public_reads=public_reads) and request.match_info.http_exception is None:
        try:
            request[CALLER] = await _prove(request)
        except QuotewellError:
            rate_limits.count(request)
            raise
    rate_limits.count(request)
    needed = getattr(target, "scope", None)
    if needed is not None and needed not in request[CALLER].scope.split():
        raise InsufficientScope(f"this needs the scope {needed}")
    response = await handler(request)
    if not public_reads and getattr(target, "is_read", False):
        response.headers[hdrs.CACHE_CONTROL] = FOR_ACCOUNTS
    return response


async def _prove(request: web.Request) -> Caller:
    """The caller, by a ticket if the handler takes one and there is one, else by the token."""
    ticket = request.query.get("ticket") if getattr(request.match_info.handler, "takes_ticket", False) else None
    if not ticket:
        return await verify(request)
    login = await redeem(request, ticket)
    return Caller(login.user, "", login=login.id)
