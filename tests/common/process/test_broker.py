"""Celery's broker while it is away, and when it comes back."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from kombu.asynchronous import Hub
from kombu.entity import Queue
from kombu.message import Message
from kombu.messaging import Consumer

from common.process.broker import QUEUE, WORK_LINE, open_celery
from common.process.servers import Redis
from common.process.settings import Settings

NOWHERE = {"DATABASE_URL": "postgresql://h/d", "REDIS_URL": "redis://127.0.0.1:9/0", "QUOTEWELL_ENV": "testing"}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path, throwaway=True)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def app(broker: Redis) -> Celery:
    return open_celery(Settings.from_env(NOWHERE | {"REDIS_URL": broker.url()}))


class Enough(Exception):
    """Enough waits were seen."""


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


def test_of_a_connection_that_is_closed_nothing_stays_in_the_event_loop(app: Celery) -> None:
    hub = Hub()  # type: ignore[no-untyped-call]
    connection = app.connection_for_read()
    connection.transport.register_with_event_loop(connection.connection, hub)
    assert len(hub.on_tick) == 1

    connection.collect()

    assert len(hub.on_tick) == 0


def test_a_worker_outlives_a_broker_that_is_lost_while_it_holds_a_message(
    app: Celery, broker: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """What Celery does then: collect, close what was collected, and acknowledge a task that ends now. An error that it does not expect
    would be the worker's end."""
    received: list[Message] = []
    app.send_task(WORK_LINE, queue=QUEUE)
    connection = app.connection_for_read()
    channels = connection.default_channel, connection.channel()
    for channel, queue in zip(channels, (app.amqp.queues[QUEUE], Queue("another")), strict=True):  # type: ignore[no-untyped-call]
        Consumer(channel, [queue], on_message=received.append).consume()  # type: ignore[no-untyped-call]
    connection.drain_events(timeout=5)
    for channel in channels:
        channel._brpop_start()  # as each tick of the worker's loop does
    broker.kill()

    connection.collect()
    connection.close()
    received.pop().ack_log_error(logging.getLogger(), connection.connection_errors)  # type: ignore[no-untyped-call]

    assert "Couldn't ack" in caplog.text
