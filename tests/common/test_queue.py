"""Celery's broker while it is away."""

import pytest

from common.queue import open_celery
from common.settings import Settings

NOWHERE = {"DATABASE_URL": "postgresql://h/d", "REDIS_URL": "redis://127.0.0.1:9/0", "QUOTEWELL_ENV": "testing"}


class Enough(Exception):
    """Seen."""


def test_a_broker_that_is_away_is_looked_for_every_two_seconds() -> None:
    waits: list[float] = []

    def note(_: Exception, wait: float) -> None:
        waits.append(wait)
        if len(waits) == 3:
            raise Enough

    connection = open_celery(Settings.from_env(NOWHERE)).connection_for_read()
    with pytest.raises(Enough):
        connection.ensure_connection(note, None)

    assert [2, 2, 2] == waits
