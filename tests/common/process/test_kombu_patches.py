"""What common/process/kombu_patches.py overrides or reads is still there in kombu, by the name and with the arguments it has."""

import inspect

import pytest
from celery.app.amqp import AMQP
from kombu.asynchronous import Hub
from kombu.connection import Connection, ConnectionPool, PooledConnection
from kombu.transport import redis

from common.process.broker import QUEUE, QUEUE_LIMIT, open_celery
from common.process.kombu_patches import PatchedChannel, PatchedConnection, PatchedTransport
from common.process.settings import Settings

NOWHERE = {"DATABASE_URL": "postgresql://h/d", "REDIS_URL": "redis://127.0.0.1:9/0", "QUOTEWELL_ENV": "testing"}


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (redis.Channel, "_put"),
        (redis.Channel, "_get_pool"),
        (redis.Channel, "conn_or_acquire"),
        (redis.Channel, "global_keyprefix"),
        (redis.Channel, "from_transport_options"),
        (redis.Transport, "Channel"),
        (redis.Transport, "register_with_event_loop"),
        (redis.Transport, "close_connection"),
        (redis.Transport, "connection_errors"),
        (redis.Transport, "channel_errors"),
        (Connection, "get_transport_cls"),
        (Connection, "ensure_connection"),
        (Connection, "collect"),
        (Connection, "Pool"),
        (Connection, "_info"),
        (ConnectionPool, "new"),
        (AMQP, "Connection"),
        (Hub(), "on_tick"),  # type: ignore[no-untyped-call]
    ],
)
def test_what_is_patched_exists_upstream(owner: object, name: str) -> None:
    assert hasattr(owner, name)


def test_kombu_still_takes_the_delay_between_two_attempts() -> None:
    assert "interval_step" in inspect.signature(Connection._ensure_connection).parameters


def test_a_celery_application_uses_every_patch() -> None:
    app = open_celery(Settings.from_env(NOWHERE))
    connection = app.connection_for_write()
    pooled = connection.Pool(1).new()

    assert isinstance(connection, PatchedConnection)
    assert isinstance(pooled, PatchedConnection)
    assert isinstance(pooled, PooledConnection)
    assert isinstance(connection.transport, PatchedTransport)
    assert PatchedTransport.Channel is PatchedChannel
    assert {QUEUE: QUEUE_LIMIT} == (connection.transport_options or {}).get("max_lengths")
