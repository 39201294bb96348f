"""Limits on registration: closed by a setting, or a number an hour for each network, counted across processes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from limits import RateLimitItemPerHour

from api.http.tally import Tally
from common.errors import RateLimited, RegistrationClosed
from common.process.resources import Resources


class Registrations:
    """One process's view of the limit. Hours are those of the clock."""

    def __init__(self, resources: Resources) -> None:
        settings = resources.settings
        self._open, self._limit = settings.registration_open, RateLimitItemPerHour(settings.registration_limit)
        self._tally = Tally(resources, "registrations")

    def check(self) -> None:
        """Raise `RegistrationClosed` if registration is closed."""
        if not self._open:
            raise RegistrationClosed("registration is closed; ask the operator for an account")

    @asynccontextmanager
    async def attempt(self, network: str) -> AsyncIterator[None]:
        """Count one registration, or raise `RateLimited`. A registration that raises anything does not count."""
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
