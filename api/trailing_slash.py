"""A trailing slash: `/api/stock/AAPL/` is the route of `/api/stock/AAPL`, with its token, limits and metrics.

The router resolves it. A middleware would come too late, because the route decides who may pass, and a redirect makes some clients
drop the body or the token.
"""

from aiohttp import web
from yarl import URL


class TrailingSlash(web.PlainResource):
    """The last resource of a router: it resolves a path that nothing else matches as the path without its one trailing slash."""

    def __init__(self, router: web.UrlDispatcher) -> None:
        super().__init__("/")  # the router asks resources of this path after all others
        self._router = router

    async def resolve(self, request: web.Request) -> tuple[web.UrlMappingMatchInfo | None, set[str]]:
        path = request.rel_url.raw_path
        if not path.endswith("/") or path.endswith("//") or path == "/":
            return None, set()
        found = await self._router.resolve(request.clone(rel_url=URL.build(path=path[:-1], encoded=True)))
        refusal = found.http_exception
        if refusal is None:
            return found, set()
        return None, set(refusal.allowed_methods) if isinstance(refusal, web.HTTPMethodNotAllowed) else set()
