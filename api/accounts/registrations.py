"""Who may make an account here: nobody where registration is closed; else each network a number an hour, counted across processes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from limits import RateLimitItemPerHour

from api.http.tally import Tally
from common.errors import RateLimited, RegistrationClosed
from common.process.resources import Resources


class Registrations:
    """The limit of new accounts for one process. The hour is the clock's; nobody is told more than when it ends."""

    def __init__(self, resources: Resources) -> None:
        settings = resources.settings
        self._open, self._limit = settings.registration_open, RateLimitItemPerHour(settings.registration_limit)
        self._tally = Tally(resources, "registrations")

    def check(self) -> None:
        """Raise `RegistrationClosed` where nobody may register."""
        if not self._open:
            raise RegistrationClosed("registration is closed; ask the operator for an account")

    @asynccontextmanager
    async def attempt(self, network: str) -> AsyncIterator[None]:
        """Hold one registration; raise `RateLimited` instead of it. One that raises, whatever it is, does not count."""
        counted = await self._tally.count([(self._limit, network)])
        try:
            if counted.refused is not None:
                message = f"expected at most {self._limit.amount} new accounts an hour from one network"
                raise RateLimited(message, retry_after=counted.wait())
            yield
        except BaseException:
            await asyncio.shield(counted.give_back())
            raise


REGISTRATIONS = web.AppKey("registrations", Registrations)
