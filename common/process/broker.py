"""Celery as we use it: a bell, not a ledger. A message says "work the line"; what is wanted and allowed stands in PostgreSQL.

One builder for worker, beat and whoever wakes a worker, so that all three agree on the broker's options.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
from celery import Celery
from celery.app.amqp import AMQP
from kombu.connection import Connection, ConnectionPool, PooledConnection
from kombu.exceptions import OperationalError
from kombu.transport.redis import Channel, Transport
from redis.exceptions import ConnectionError as RedisConnectionError

from common.process.settings import Settings

WORK_LINE = "quotewell.work_line"
PRUNE = "quotewell.prune"
QUEUE = "quotewell"
TICKED = "ticked"  # the header of a task that beat asked for
WAKE_EXPIRES = 10  # seconds: a wake-up that nobody heard is covered by the next tick
TASK_LIMIT = 120  # seconds that a task may take
QUEUE_LIMIT = 60  # messages: what beat sends in two minutes, so that a busy worker's queue keeps the hourly task
PUBLISHING = 0.5  # seconds that a request waits for the bell; the thread may take longer

log = structlog.get_logger(__name__)
# Publishing blocks, for ever on a frozen broker but for the timeouts below: so in a thread, never on the loop.
_threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="wake")


class _Channel(Channel):
    """Keeps the queue short, and meets an error that Celery expects when kombu has let go of its connection."""

    def _put(self, queue: str, message: Any, **options: Any) -> None:
        """Make room for the message first: Redis keeps what has expired until a worker takes it, and the oldest says nothing new."""
        if queue == QUEUE:
            with self.conn_or_acquire() as client:
                client.ltrim(f"{self.global_keyprefix}{queue}", 0, QUEUE_LIMIT - 2)  # kombu prefixes no LTRIM
        super()._put(queue, message, **options)  # type: ignore[no-untyped-call]

    def _get_pool(self, asynchronous: bool = False) -> Any:
        """Kombu's own error here, an AttributeError, would end the worker."""
        if self.connection is None or self.connection.client is None:
            raise RedisConnectionError("the connection to the broker is gone")
        return super()._get_pool(asynchronous)  # type: ignore[no-untyped-call]


class _Transport(Transport):
    """Leaves the event loop with its connection. Kombu's stays in there for good (since 5.7), with its sockets: more at each reconnect."""

    Channel = _Channel
    _loop: Any = None
    _ticks: frozenset[Any] = frozenset()

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        before = frozenset(loop.on_tick)
        try:
            super().register_with_event_loop(connection, loop)  # type: ignore[no-untyped-call]
        except self.connection_errors + self.channel_errors:
            connection.client.collect()  # whoever asked for this connection never hears of it
            raise
        self._loop, self._ticks = loop, loop.on_tick - before

    def close_connection(self, connection: Any) -> None:
        if self._loop is not None:
            self._loop.on_tick -= self._ticks
        super().close_connection(connection)  # type: ignore[no-untyped-call]


class _Connection(Connection):
    """Looks for a broker that is away every two seconds. Kombu's own waits grow to half a minute, and no setting reaches them."""

    def get_transport_cls(self) -> type[Transport]:
        return _Transport

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Any:
        return super().ensure_connection(*args, **{"interval_step": 0, **kwargs})  # type: ignore[no-untyped-call]

    def Pool(self, limit: int | None = None, **options: Any) -> ConnectionPool:  # noqa: N802  kombu's name
        return _Pool(self, limit, **options)  # type: ignore[no-untyped-call]


class _Pooled(_Connection, PooledConnection):
    """As `_Connection`, and it goes back to its pool."""


class _Pool(ConnectionPool):
    """Pools our kind of connection. Kombu's own pool makes connections of kombu's kind, and they let the queue grow."""

    def new(self) -> _Pooled:
        return _Pooled(self, **dict(self.connection._info(resolve=False)))  # type: ignore[no-untyped-call]


class _Amqp(AMQP):  # type: ignore[misc]
    Connection = _Connection


def open_celery(settings: Settings) -> Celery:
    """The Celery application: no results, late acknowledgement, one task at a time, bounded patience with the broker."""
    app = Celery("quotewell", broker=settings.redis_url, amqp=_Amqp)
    app.conf.update(
        task_default_queue=QUEUE,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_soft_shutdown_timeout=3 if settings.environment == "development" else 12,
        task_time_limit=TASK_LIMIT,
        worker_proc_alive_timeout=60,  # what was begun at the loss of a broker is heard when that is back
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,  # a Redis that is full, or no primary any more, is like one that is away
        worker_cancel_long_running_tasks_on_connection_loss=False,  # it ends children between tasks; ours take seconds
        broker_pool_acquire_timeout=2,
        broker_transport_options={
            "visibility_timeout": 120,
            "socket_timeout": 5,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "global_keyprefix": "celery:",
        },
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.2},
    )
    return app


async def wake_worker(app: Celery, *, request_id: str = "") -> None:
    """Ring for a worker, after the transaction has committed. A broker that is away costs nothing: the next tick comes."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(PUBLISHING):
            await loop.run_in_executor(_threads, _send, app, request_id)
    except (OperationalError, OSError, TimeoutError) as error:
        log.warning("worker_not_woken", error=type(error).__name__)


def _send(app: Celery, request_id: str) -> None:
    app.send_task(WORK_LINE, queue=QUEUE, expires=WAKE_EXPIRES, headers={"request_id": request_id})
