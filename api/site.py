"""The pages for people: `/` shows quotes to anybody, `/ops` is for operators, `/reset` for people who forgot their password.

They use the API like any client.

Query parameters are ignored: links from elsewhere often add some.
"""

from typing import Any

from aiohttp import web

from api.http.contract import documented
from api.http.middlewares import public
from api.page import read_page
from api.static import ACCEPT_ENCODING

HOME = read_page("home.html")
OPERATORS = read_page("operators.html")
RESET = read_page("reset.html")
PAGE: dict[str, Any] = {"answers": {200: str}, "media": "text/html", "headers": ACCEPT_ENCODING, "cached": True}

routes = web.RouteTableDef()


@routes.get("/")
@public
@documented("A page with live quotes", **PAGE)
async def home(request: web.Request) -> web.Response:
    """For people: the overview, a search, a symbol's quote and chart."""
    return HOME.respond(request)


@routes.get("/ops")
@public
@documented("A page for operators", **PAGE)
async def operators_page(request: web.Request) -> web.Response:
    """For people. Anybody can open the page; its data needs a token with the scope `operator`."""
    return OPERATORS.respond(request)


@routes.get("/reset")
@public
@documented("A page to choose another password", **PAGE)
async def reset_page(request: web.Request) -> web.Response:
    """For people who follow the link of a mail (`POST /api/auth/forgot`). The token is behind the link's `#`, so it reaches no log."""
    return RESET.respond(request)
