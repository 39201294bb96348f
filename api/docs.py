"""The OpenAPI document over HTTP, and a page that shows it: one file that loads nothing from another host."""

import json
from typing import Any

from aiohttp import web

from api.http import requests
from api.http.contract import documented
from api.http.middlewares import public
from api.openapi import describe
from api.page import read_page
from api.static import ACCEPT_ENCODING, Static

PAGE = read_page("docs.html")

routes = web.RouteTableDef()


class Document:
    """The OpenAPI document of a router; `public_reads` as in `describe`.

    To make it takes a fifth of a second, so a process that serves makes it at its start.
    """

    def __init__(self, router: web.UrlDispatcher, *, public_reads: bool) -> None:
        self._router, self._public_reads = router, public_reads
        self._made: Static | None = None

    def make(self) -> Static:
        """The document, made once."""
        if self._made is None:
            text = json.dumps(describe(self._router, public_reads=self._public_reads), separators=(",", ":"))
            self._made = Static(text.encode(), "application/json; charset=utf-8")
        return self._made


DOCUMENT = web.AppKey("document", Document)


@routes.get("/api/openapi.json")
@public
@documented(
    "This document", query=requests.NoQuery, headers=ACCEPT_ENCODING, answers={200: dict[str, Any]}, cached=True
)
async def openapi(request: web.Request) -> web.Response:
    """Generated from the code that validates the requests."""
    requests.query(request, requests.NoQuery)
    return request.app[DOCUMENT].make().respond(request)


@routes.get("/api/docs")
@public
@documented(
    "A page that shows this document",
    query=requests.NoQuery,
    headers=ACCEPT_ENCODING,
    answers={200: str},
    media="text/html",
    cached=True,
)
async def docs(request: web.Request) -> web.Response:
    """For people. It loads nothing from other hosts."""
    requests.query(request, requests.NoQuery)
    return PAGE.respond(request)
