"""Everything that is stored about the caller, as a file."""

import asyncio
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from api.http import requests
from api.http.answers import NO_STORE
from api.http.contract import documented
from api.http.keys import CALLER, RESOURCES
from common.errors import InvalidToken, Overloaded, StoreUnavailable
from common.operations.personal import Export, export_user

FILE = {"Content-Disposition": 'attachment; filename="quotewell-account.json"'}
EXPORTING = web.AppKey("exporting", asyncio.Lock)  # an export may take megabytes, so a process makes one at a time

routes = web.RouteTableDef()


@routes.get("/api/auth/me/export")
@documented(
    "Everything that is stored about the caller",
    query=requests.NoQuery,
    answers={200: Export},
    errors=(Overloaded, StoreUnavailable),
)
async def export_account(request: web.Request) -> web.Response:
    """As a file. What `DELETE /api/auth/me` deletes; hashes of secrets are left out."""
    requests.query(request, requests.NoQuery)
    if request.app[EXPORTING].locked():
        raise Overloaded("another export is being made", retry_after=2)
    async with request.app[EXPORTING]:
        found = await export_user(request.app[RESOURCES], request[CALLER].id, now=datetime.now(UTC))
    if found is None:
        raise InvalidToken("the account of this token does not exist")
    body = msgspec.json.encode(found)
    return web.Response(body=body, content_type="application/json", charset="utf-8", headers=NO_STORE | FILE)
