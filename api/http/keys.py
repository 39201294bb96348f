"""What the application and a request carry for every room, and the caller behind a token. A room's own key stands beside its class."""

from dataclasses import dataclass

from aiohttp import web
from celery import Celery

from common.process.resources import Resources

RESOURCES = web.AppKey("resources", Resources)
QUEUE = web.AppKey("queue", Celery)


@dataclass(frozen=True, slots=True)
class Caller:
    """The account behind a verified token, and the login that the token is of."""

    id: int
    scope: str
    login: int


CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)
REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
