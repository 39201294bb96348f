"""Kombu's Redis transport with four patches, seen as needed with kombu 5.7.0. Each names its reason and when it can go.

tests/common/process/test_kombu_patches.py fails when kombu drops or renames what is overridden here.
"""

from collections.abc import Mapping
from typing import Any

from celery.app.amqp import AMQP
from kombu.connection import Connection, ConnectionPool, PooledConnection
from kombu.transport.redis import Channel, Transport
from redis.exceptions import ConnectionError as RedisConnectionError


class PatchedChannel(Channel):
    """`max_lengths`, a transport option: the most messages of a queue, by its name; the oldest are dropped."""

    max_lengths: Mapping[str, int] = {}
    from_transport_options: tuple[str, ...] = (*Channel.from_transport_options, "max_lengths")  # type: ignore[assignment]

    def _put(self, queue: str, message: Any, **options: Any) -> None:
        """Drop the oldest messages first. Redis keeps expired messages until a worker takes them, so a queue without workers grows.

        https://github.com/celery/kombu/issues/799; remove when kombu supports `Queue.max_length` on Redis.
        """
        if queue in self.max_lengths:
            with self.conn_or_acquire() as client:
                # kombu adds `global_keyprefix` to the keys of the commands that it uses itself; LTRIM is not among them
                client.ltrim(f"{self.global_keyprefix}{queue}", 0, self.max_lengths[queue] - 2)
        super()._put(queue, message, **options)  # type: ignore[no-untyped-call]

    def _get_pool(self, asynchronous: bool = False) -> Any:
        """Raise an error that Celery handles when kombu has already dropped the connection; kombu's AttributeError ends the worker.

        https://github.com/celery/kombu/issues/582; remove when `_connparams` raises one of the transport's `connection_errors`.
        """
        if self.connection is None or self.connection.client is None:
            raise RedisConnectionError("the connection to the broker is gone")
        return super()._get_pool(asynchronous)  # type: ignore[no-untyped-call]


class PatchedTransport(Transport):
    """Remove a connection's callback from the event loop when the connection closes.

    Kombu keeps it since https://github.com/celery/kombu/pull/2492, so each reconnect leaks a transport and its sockets. Remove when
    `Transport.close_connection` removes what `register_with_event_loop` added to `on_tick`.
    """

    Channel = PatchedChannel
    _loop: Any = None
    _ticks: frozenset[Any] = frozenset()

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        before = frozenset(loop.on_tick)
        try:
            super().register_with_event_loop(connection, loop)  # type: ignore[no-untyped-call]
        except self.connection_errors + self.channel_errors:
            connection.client.collect()  # Celery never learns of this connection, so nothing else would close it
            raise
        self._loop, self._ticks = loop, loop.on_tick - before

    def close_connection(self, connection: Any) -> None:
        if self._loop is not None:
            self._loop.on_tick -= self._ticks
        super().close_connection(connection)  # type: ignore[no-untyped-call]


class PatchedConnection(Connection):
    """Try a lost broker every two seconds. Kombu's delay grows to 30 seconds, and Celery's worker has no setting for it.

    No upstream issue found; remove when `broker_transport_options` or another setting reaches the worker's `ensure_connection`.
    """

    def get_transport_cls(self) -> type[Transport]:
        return PatchedTransport

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Any:
        return super().ensure_connection(*args, **{"interval_step": 0, **kwargs})  # type: ignore[no-untyped-call]

    def Pool(self, limit: int | None = None, **options: Any) -> ConnectionPool:  # noqa: N802  kombu's name
        return _Pool(self, limit, **options)  # type: ignore[no-untyped-call]


class _PooledConnection(PatchedConnection, PooledConnection):
    """A patched connection that returns to its pool."""


class _Pool(ConnectionPool):
    """Make patched connections: kombu's pool makes plain ones, which would not limit the queue."""

    def new(self) -> _PooledConnection:
        return _PooledConnection(self, **dict(self.connection._info(resolve=False)))  # type: ignore[no-untyped-call]


class PatchedAMQP(AMQP):  # type: ignore[misc]
    """Make a Celery application use the patched connection: `Celery(..., amqp=PatchedAMQP)`."""

    Connection = PatchedConnection
