"""The pages for people: `/` shows quotes to anybody, `/ops` is for operators, `/reset` for people who forgot their password.

They use the API like any client.

Query parameters are ignored: links from elsewhere often add some.
"""

from aiohttp import web

from api.http.contract import documented
from api.http.middlewares import public
from api.page import Page

HOME = Page("home.html")
OPERATORS = Page("operators.html")
RESET = Page("reset.html")

routes = web.RouteTableDef()


@routes.get("/")
@public
@documented("A page with live quotes", answers={200: str}, media="text/html")
async def home(_: web.Request) -> web.Response:
    """For people: the overview, a search, a symbol's quote and chart."""
    return HOME.respond()


@routes.get("/ops")
@public
@documented("A page for operators", answers={200: str}, media="text/html")
async def operators_page(_: web.Request) -> web.Response:
    """For people. Anybody can open the page; its data needs a token with the scope `operator`."""
    return OPERATORS.respond()


@routes.get("/reset")
@public
@documented("A page to choose another password", answers={200: str}, media="text/html")
async def reset_page(_: web.Request) -> web.Response:
    """For people who follow the link of a mail (`POST /api/auth/forgot`). The token is behind the link's `#`, so it reaches no log."""
    return RESET.respond()
