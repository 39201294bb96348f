"""What the application carries under which key, and who a request comes from."""

from dataclasses import dataclass

from aiohttp import web
from celery import Celery

from api.listing import Listing
from api.live import Live
from api.memory import Memory
from api.quotes import Quotes
from api.reads import Reads
from api.registrations import Registrations
from api.revocations import Revocations
from api.throttle import Throttle
from api.tokens import Tokens
from common.passwords import Passwords
from common.resources import Resources

RESOURCES = web.AppKey("resources", Resources)
MEMORY = web.AppKey("memory", Memory)
LIVE = web.AppKey("live", Live)
QUOTES = web.AppKey("quotes", Quotes)
LISTING = web.AppKey("listing", Listing)
READS = web.AppKey("reads", Reads)
PASSWORDS = web.AppKey("passwords", Passwords)
TOKENS = web.AppKey("tokens", Tokens)
REVOCATIONS = web.AppKey("revocations", Revocations)
THROTTLE = web.AppKey("throttle", Throttle)
REGISTRATIONS = web.AppKey("registrations", Registrations)
QUEUE = web.AppKey("queue", Celery)


@dataclass(frozen=True, slots=True)
class Caller:
    """The account behind a verified token, and the login that the token is of."""

    id: int
    scope: str
    login: int


CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)
REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
