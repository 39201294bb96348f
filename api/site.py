"""The pages for people: `/` shows quotes to anybody, `/ops` what operators ask for. What they show comes from the API, as to any client.

Parameters behind their addresses are ignored: who links to a page from elsewhere often adds some.
"""

from aiohttp import web

from api.http.contract import documented
from api.http.middlewares import public
from api.page import Page

HOME = Page("home.html")
OPERATORS = Page("operators.html")

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
    """For people. The page is open to anybody; all that it shows needs a token with the scope `operator`."""
    return OPERATORS.respond()
