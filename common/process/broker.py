"""Celery's application. Its messages only wake a worker ("process the queue"); requests and calls are in PostgreSQL.

Worker, beat and every process that wakes a worker build it here, so they agree on the broker's options.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import structlog
from celery import Celery
from kombu.exceptions import OperationalError

from common.process.kombu_patches import PatchedAMQP
from common.process.settings import Settings

WORK_LINE = "quotewell.work_line"
PRUNE = "quotewell.prune"
QUEUE = "quotewell"
TICKED = "ticked"  # header of a task that beat sent
WAKE_EXPIRES = 10  # seconds; after that, the next tick does the same work
TASK_LIMIT = 120  # seconds that a task may take
QUEUE_LIMIT = 60  # messages: two minutes of ticks, so the hourly task stays queued while the worker is busy
PUBLISH_TIMEOUT = 0.5  # seconds that a request waits for the wake-up to be sent; the thread may take longer

log = structlog.get_logger(__name__)
# Celery publishes synchronously, and blocks until its timeouts on a frozen broker: so never on the event loop.
_threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="wake")


def open_celery(settings: Settings) -> Celery:
    """The Celery application: no results, late acknowledgement, one task at a time, bounded waits for the broker."""
    app = Celery("quotewell", broker=settings.redis_url, amqp=PatchedAMQP)
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
        worker_proc_alive_timeout=60,  # a child started while the broker is away reports only when it is back
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,  # treat a Redis that is full or read-only as one that is away
        worker_cancel_long_running_tasks_on_connection_loss=False,  # it also kills idle children; our tasks take seconds
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
            "max_lengths": {QUEUE: QUEUE_LIMIT},
        },
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.2},
    )
    return app


async def wake_worker(app: Celery, *, request_id: str = "") -> None:
    """Wake a worker; call it after the transaction has committed. If the broker is away, the next tick does the work."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(PUBLISH_TIMEOUT):
            await loop.run_in_executor(_threads, _send, app, request_id)
    except (OperationalError, OSError, TimeoutError) as error:
        log.warning("worker_not_woken", error=type(error).__name__)


def _send(app: Celery, request_id: str) -> None:
    app.send_task(WORK_LINE, queue=QUEUE, expires=WAKE_EXPIRES, headers={"request_id": request_id})
