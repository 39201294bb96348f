"""The OpenAPI document over HTTP, and a page of our own that shows it: one file, nothing from another host, no script but its own."""

import json
import re
from base64 import b64encode
from hashlib import sha256
from math import inf
from pathlib import Path
from typing import Any

from aiohttp import web

from api import requests
from api.answers import Answer
from api.contract import documented
from api.middlewares import public
from api.openapi import describe
from api.state import MEMORY, RESOURCES

PATH = "/api/openapi.json"
GOOD_FOR = 60  # seconds that a cache may keep the document: a deploy changes it
PAGE = (Path(__file__).parent / "pages" / "docs.html").read_text()

routes = web.RouteTableDef()


def _policy(page: str) -> str:
    """Allow what is in the page, by its hash, and asking this host; nothing else."""
    (style,), (script,) = (re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.S) for tag in ("style", "script"))
    allowed = {
        "default-src": "'none'",
        "style-src": _hash(style),
        "script-src": _hash(script),
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {sources}" for name, sources in allowed.items())


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


POLICY = _policy(PAGE)


@routes.get(PATH)
@public
@documented("This document", query=requests.NoQuery, answers={200: dict[str, Any]}, cached=True)
async def openapi(request: web.Request) -> web.Response:
    """Made of the code that validates the requests."""
    requests.query(request, requests.NoQuery)
    memory = request.app[MEMORY]
    answer = memory.answers.last(PATH)
    if answer is None:
        body = json.dumps(describe(request.app.router), separators=(",", ":")).encode()
        answer = memory.answers.keep(PATH, Answer(body, request.app[RESOURCES].started, 0, GOOD_FOR, inf))
    return answer.respond(request)


@routes.get("/api/docs")
@public
@documented("A page that shows this document", query=requests.NoQuery, answers={200: str}, media="text/html")
async def docs(request: web.Request) -> web.Response:
    """For people; it needs no other host."""
    requests.query(request, requests.NoQuery)
    headers = {
        "Content-Security-Policy": POLICY,
        "Referrer-Policy": "no-referrer",
        "Cache-Control": f"public, max-age={GOOD_FOR}",
    }
    return web.Response(text=PAGE, content_type="text/html", headers=headers)
