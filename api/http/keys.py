"""Keys of the application and of requests that all of api/ uses. Other keys are defined beside their classes."""

from dataclasses import dataclass

from aiohttp import web
from celery import Celery

from common.process.resources import Resources

RESOURCES = web.AppKey("resources", Resources)
QUEUE = web.AppKey("queue", Celery)


@dataclass(frozen=True, slots=True)
class Caller:
    """The user of a verified token, and its login. `is_key`: it is an API key, and `login` the key's id; ids come from one sequence."""

    id: int
    scope: str
    login: int
    is_key: bool = False


CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)
REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
