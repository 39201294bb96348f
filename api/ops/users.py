"""Users over HTTP, for operators: list them, and delete one."""

import re

from aiohttp import web

from api.http import requests
from api.http.contract import documented
from api.http.keys import CALLER, RESOURCES
from api.ops.questions import UsersQuery
from api.ops.routes import OPERATOR, answer, by
from common.errors import InvalidRequest, NotFound, StoreUnavailable
from common.operations.user_reports import UsersReport, report_users
from common.operations.users import UserChange, delete_user

routes = web.RouteTableDef()


@routes.get("/api/ops/users")
@OPERATOR
@documented("Who has an account", query=UsersQuery, answers={200: UsersReport}, errors=(StoreUnavailable,))
async def list_users(request: web.Request) -> web.Response:
    """In the order of their ids, with rights, symbols and open logins."""
    asked = requests.query(request, UsersQuery)
    return answer(await report_users(request.app[RESOURCES], begins=asked.begins, after=asked.after, most=asked.most))


@routes.delete("/api/ops/users/{user}")
@OPERATOR
@documented("Delete a user", answers={200: UserChange}, errors=(InvalidRequest, NotFound, StoreUnavailable))
async def remove_user(request: web.Request) -> web.Response:
    """With everything that is stored about it: watchlist, requests, logins, which end within a second. It cannot be undone."""
    text = request.match_info["user"]
    if re.fullmatch("[1-9][0-9]{0,17}", text) is None:
        raise NotFound(f"there is no user {text[:20]!r}; expected an id that the list of users has")
    if int(text) == request[CALLER].id:
        raise InvalidRequest("user: expected another account than your own; `DELETE /api/auth/me` deletes yours")
    return answer(await delete_user(request.app[RESOURCES], int(text), **by(request)))
