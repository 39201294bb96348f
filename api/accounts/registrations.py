"""Limits on registration: closed by a setting, or a number an hour for each network, counted across processes.

An attempt that finds its name or email taken tells that somebody has it, and costs a hash. So attempts have a limit of their own.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from limits import RateLimitItem, RateLimitItemPerHour

from api.http.tally import Tally
from common.errors import Conflict, RateLimited, RegistrationClosed
from common.process.resources import Resources

ATTEMPTS = 5  # for each account that a network may make


class Registrations:
    """One process's view of the limits. Hours are those of the clock."""

    def __init__(self, resources: Resources) -> None:
        settings = resources.settings
        self._open, self._accounts = settings.registration_open, RateLimitItemPerHour(settings.registration_limit)
        self._attempts = RateLimitItemPerHour(ATTEMPTS * settings.registration_limit)
        self._tally = Tally(resources, "registrations")

    def check(self) -> None:
        """Raise `RegistrationClosed` if registration is closed."""
        if not self._open:
            raise RegistrationClosed("registration is closed; ask the operator for an account")

    @asynccontextmanager
    async def attempt(self, network: str) -> AsyncIterator[None]:
        """Count one registration, or raise `RateLimited`. A `Conflict` leaves only the attempt counted, any other error nothing."""
        async with (
            self._counted(self._attempts, network, "attempts to register", kept_on=Conflict),
            self._counted(self._accounts, network, "new accounts"),
        ):
            yield

    @asynccontextmanager
    async def _counted(
        self, limit: RateLimitItem, network: str, what: str, *, kept_on: type[Conflict] | tuple[()] = ()
    ) -> AsyncIterator[None]:
        counted = await self._tally.count([(limit, network)])
        try:
            if counted.refused is not None:
                message = f"expected at most {limit.amount} {what} an hour from one network"
                raise RateLimited(message, retry_after=counted.wait())
            yield
        except kept_on:
            raise
        except BaseException:
            await asyncio.shield(counted.give_back())
            raise


REGISTRATIONS = web.AppKey("registrations", Registrations)
