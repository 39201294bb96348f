"""Promises: when a queued request will have been answered, for `Retry-After`. One forecast serves all requests of a second."""

from datetime import UTC, datetime, timedelta

from common.calls.forecasts import look_ahead
from common.core.forecast.promises import Forecast
from common.core.forecast.situation import Key
from common.core.models import Function
from common.process.resources import Resources
from common.store.budget import queue, situations
from common.store.budget.ledger import select_now
from common.store.connection.pool import Connection

FORECAST_TTL = timedelta(seconds=1)  # how long a forecast is reused for other queued requests
FORECAST_HORIZON = timedelta(days=8)  # beyond it no time is promised (common/core/forecast/run.HORIZON)
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Promises:
    """The last forecast of one process. Times are the ledger's."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._seen = Forecast(NEVER)

    async def make(self, connection: Connection, key: Key) -> float | None:
        """Seconds within which the request is answered in 95 of 100 cases; None if unknown.

        The request stays queued until a minute after that, and becomes urgent if it could not be served in time otherwise.
        """
        now = await select_now(connection)
        if key not in self._seen.surely or not timedelta() <= now - self._seen.made_at <= FORECAST_TTL:
            self._seen = await look_ahead(connection, self._resources)
        at = self._seen.surely.get(key)
        wait = None if at is None else at - now
        ttl = min(FORECAST_HORIZON, wait or timedelta()) + queue.QUEUE_TTL
        await queue.update_expiry(connection, *key, ttl, urgent_at=self._seen.urgent.get(key))
        return None if wait is None else wait.total_seconds()

    async def wait_in_turn(self, connection: Connection, key: Key, requester: str) -> float | None:
        """Seconds until background should have fetched the first quote of a watched symbol; None if unknown."""
        if key[0] is not Function.QUOTE:
            return None
        ahead = await situations.select_firsts_before(connection, requester, key[1])
        self._seen = seen = await look_ahead(connection, self._resources)
        return (seen.firsts[ahead] - seen.made_at).total_seconds() if ahead < len(seen.firsts) else None
