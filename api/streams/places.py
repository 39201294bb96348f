"""How many streams a client may have open: each holds a connection for as long as it likes. A client is a user or a network."""

from collections import Counter
from collections.abc import Callable
from functools import partial

from aiohttp import web

from common.errors import TooManyStreams

RETRY_AFTER = 5  # seconds


class Places:
    """The streams of one process that are open or about to open, by client: `user:<id>`, or a network's hash."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken: Counter[str] = Counter()

    def check(self, client: str) -> None:
        """Raise `TooManyStreams` if the client has as many streams as it may."""
        if self._taken[client] >= self._limit:
            raise TooManyStreams(
                f"expected at most {self._limit} streams at once of one user or network", retry_after=RETRY_AFTER
            )

    def take(self, client: str) -> Callable[[], None]:
        """Take one place, or raise as `check` does; return what gives it back. Call that once."""
        self.check(client)
        self._taken[client] += 1
        return partial(self._leave, client)

    def _leave(self, client: str) -> None:
        self._taken[client] -= 1
        if not self._taken[client]:
            del self._taken[client]


PLACES = web.AppKey("places", Places)
