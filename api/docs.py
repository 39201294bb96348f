"""The OpenAPI document over HTTP, and a page that shows it: one file that loads nothing from another host."""

import json
from math import inf
from typing import Any

from aiohttp import web

from api.http import requests
from api.http.answers import Answer
from api.http.contract import documented
from api.http.keys import RESOURCES
from api.http.middlewares import public
from api.openapi import describe
from api.page import PAGE_TTL, Page
from api.quotes.memory import MEMORY

PATH = "/api/openapi.json"
PAGE = Page("docs.html")

routes = web.RouteTableDef()


@routes.get(PATH)
@public
@documented("This document", query=requests.NoQuery, answers={200: dict[str, Any]}, cached=True)
async def openapi(request: web.Request) -> web.Response:
    """Generated from the code that validates the requests."""
    requests.query(request, requests.NoQuery)
    memory = request.app[MEMORY]
    answer = memory.answers.last(PATH)
    if answer is None:
        resources = request.app[RESOURCES]
        document = describe(request.app.router, public_reads=resources.settings.public_reads)
        body = json.dumps(document, separators=(",", ":")).encode()
        answer = memory.answers.keep(PATH, Answer(body, resources.started, 0, PAGE_TTL, inf))
    return answer.respond(request)


@routes.get("/api/docs")
@public
@documented("A page that shows this document", query=requests.NoQuery, answers={200: str}, media="text/html")
async def docs(request: web.Request) -> web.Response:
    """For people. It loads nothing from other hosts."""
    requests.query(request, requests.NoQuery)
    return PAGE.respond()
