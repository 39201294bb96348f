"""A forgotten password: request a mail with a token, and choose another password with it.

`POST /api/auth/forgot` does not look for the account. It queues the request, and a worker does the rest (worker/resets.py), so neither its
answer nor the time that it takes shows which accounts exist.
"""

from datetime import UTC, datetime
from typing import Annotated

from aiohttp import web
from limits import parse
from msgspec import UNSET, Meta, Struct, UnsetType

from api.accounts.credentials import PASSWORDS, note
from api.accounts.logins import MessageAnswer
from api.accounts.routes import NewPassword
from api.http import requests
from api.http.answers import NO_STORE
from api.http.clients import address_of, network_of
from api.http.contract import documented
from api.http.keys import REQUEST_ID, RESOURCES
from api.http.middlewares import public
from api.http.tally import Tally
from common.core.secrets import digest
from common.errors import InvalidToken, Overloaded, RateLimited, ResetUnavailable, StoreUnavailable
from common.passwords import SCHEME, check_policy
from common.store.accounts.keys import end_keys
from common.store.accounts.logins import end_logins
from common.store.accounts.outbox import insert_mail
from common.store.accounts.resets import KIND, RESET_TTL, select_reset, use_reset
from common.store.accounts.users import User, select_user, update_password
from common.store.connection.pool import acquire, transaction

NETWORK = parse("10/hour")  # requests for a mail from one network

NOT_GOOD = "the token was used, has expired, was replaced by a newer one or is unknown; request another mail"

Name = Annotated[requests.Text, Meta(title="a username or an email address, at most 255 characters", max_length=255)]

routes = web.RouteTableDef()
RESETS = web.AppKey("resets", Tally)


class Forgotten(Struct, frozen=True, forbid_unknown_fields=True):
    """The account, by `email` or `username`; either may be the other."""

    email: Name | UnsetType = UNSET
    username: Name | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.email is UNSET) == (self.username is UNSET):
            raise ValueError("expected either email or username")

    @property
    def name(self) -> str:
        return (self.username if isinstance(self.username, str) else str(self.email)).strip()


class Reset(Struct, frozen=True, forbid_unknown_fields=True):
    """The token of the newest mail: good once."""

    token: Annotated[str, Meta(title="a token, as it is in the mail", pattern="^[A-Za-z0-9_-]{1,100}$")]
    new_password: NewPassword


@routes.post("/api/auth/forgot")
@public
@documented(
    "Request a mail to replace a forgotten password",
    body=Forgotten,
    answers={202: MessageAnswer},
    errors=(ResetUnavailable, RateLimited, StoreUnavailable),
)
async def forgot(request: web.Request) -> web.Response:
    """The answer is the same whether the account exists or not. The mail's token is good once, for 30 minutes, and voids earlier ones."""
    name = (await requests.read(request, Forgotten)).name
    _check_available(request)
    counted = await request.app[RESETS].count([(NETWORK, network_of(request))])
    if counted.refused is not None:
        raise RateLimited(
            f"expected at most {NETWORK.amount} requests an hour from one network", retry_after=counted.wait()
        )
    content = {
        "name": name,
        "address": address_of(request),
        "at": datetime.now(UTC).isoformat(),
        "request_id": request[REQUEST_ID],
    }
    async with acquire(request.app[RESOURCES].db) as connection:
        await insert_mail(connection, KIND, content, lasts=RESET_TTL)
    message = "if there is such an account, a mail is on its way to its address"
    return web.json_response({"message": message}, status=202, headers=NO_STORE)


@routes.post("/api/auth/reset")
@public
@documented(
    "Choose another password with the token of a mail",
    body=Reset,
    answers={200: MessageAnswer},
    errors=(ResetUnavailable, InvalidToken, RateLimited, Overloaded, StoreUnavailable),
)
async def reset(request: web.Request) -> web.Response:
    """All logins and API keys of the account end, on every process within a second. A password that is refused leaves the token good."""
    content = await requests.read(request, Reset)
    _check_available(request)
    resources, hashed = request.app[RESOURCES], digest(content.token)
    user = await _select_owner(request, hashed)
    check_policy(content.new_password, resources.settings, names=(user.username, user.email))
    password_hash = await request.app[PASSWORDS].hash(content.new_password)
    async with transaction(resources.db) as connection:
        await update_password(connection, user.id, password_hash, SCHEME)  # locks the user's row
        if not await use_reset(connection, hashed):
            raise InvalidToken(NOT_GOOD)
        await note(connection, request, "password_reset", user.id)
        await end_logins(connection, user.id)
        await end_keys(connection, user.id)
    return web.json_response({"message": "the password was changed; log in with it"}, headers=NO_STORE)


def _check_available(request: web.Request) -> None:
    if not request.app[RESOURCES].settings.smtp_url:
        raise ResetUnavailable("this instance sends no mail; ask its operator for another password")


async def _select_owner(request: web.Request, hashed: bytes) -> User:
    """The user of a good token; raise `InvalidToken`."""
    async with acquire(request.app[RESOURCES].db) as connection:
        found = await select_reset(connection, hashed)
        user = None if found is None else await select_user(connection, found)
    if user is None:
        raise InvalidToken(NOT_GOOD)
    return user
