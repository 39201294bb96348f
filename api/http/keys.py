"""Keys of the application and of requests that all of api/ uses. Other keys are defined beside their classes."""

from dataclasses import dataclass

from aiohttp import web
from celery import Celery

from common.process.resources import Resources

RESOURCES = web.AppKey("resources", Resources)
QUEUE = web.AppKey("queue", Celery)


@dataclass(frozen=True, slots=True)
class Caller:
    """The user and the login of a verified token."""

    id: int
    scope: str
    login: int


CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)
REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
