"""Beat's scheduler and a real Redis without a worker: the queue does not grow."""

import importlib
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
import time_machine
from celery import Celery
from celery.beat import Scheduler

from common.process.broker import PRUNE, QUEUE, QUEUE_LIMIT, WAKE_EXPIRES, WORK_LINE, open_celery, wake_worker
from common.process.settings import Settings

LIST = f"celery:{QUEUE}"
HOUR = 3600  # seconds
DELIVERY = 1200  # bytes of a message, at most


@pytest.fixture
def env(store_urls: dict[str, str]) -> dict[str, str]:
    return {"QUOTEWELL_ENV": "testing", **store_urls}


@pytest.fixture
def broker(store_urls: dict[str, str]) -> Iterator[redis.Redis]:
    """An empty Redis."""
    with redis.Redis.from_url(store_urls["REDIS_URL"]) as client:
        client.flushall()
        yield client


@pytest.fixture
def beat(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    """What `celery -A scheduler.app beat` loads."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    yield importlib.import_module("scheduler.app").app
    del sys.modules["scheduler.app"]


def run(beats: list[Celery], *, seconds: int) -> None:
    """Let so much time pass for their schedulers, at once: each sends what is due every second."""
    with time_machine.travel(datetime.now(UTC), tick=False) as clock:
        schedulers = [Scheduler(app=beat) for beat in beats]
        for _ in range(seconds):
            clock.shift(1)
            for scheduler in schedulers:
                while scheduler.tick() == 0:
                    pass
        for scheduler in schedulers:
            scheduler.close()


def waiting(broker: redis.Redis) -> list[dict[str, Any]]:
    """The headers of the messages, the newest first."""
    return [json.loads(message)["headers"] for message in broker.lrange(LIST, 0, -1)]


def test_an_hours_ticks_without_a_worker_leave_two_minutes_of_them_the_newest(
    beat: Celery, broker: redis.Redis
) -> None:
    began = datetime.now(UTC)
    run([beat], seconds=HOUR - 10)

    messages = waiting(broker)
    newest = datetime.fromisoformat(messages[0]["expires"])
    assert [WORK_LINE] * QUEUE_LIMIT == [message["task"] for message in messages]
    assert abs((newest - began).total_seconds() - (HOUR - 10) - WAKE_EXPIRES) < 5
    assert broker.memory_usage(LIST) < QUEUE_LIMIT * DELIVERY  # type: ignore[operator]


def test_two_beats_leave_no_more(beat: Celery, broker: redis.Redis) -> None:
    run([beat, beat], seconds=200)

    assert QUEUE_LIMIT == len(waiting(broker))


def test_the_hourly_task_waits_for_a_worker_that_is_busy_for_a_minute(beat: Celery, broker: redis.Redis) -> None:
    run([beat], seconds=HOUR + 60)

    assert PRUNE in [message["task"] for message in waiting(broker)]


def test_the_queue_holds_few_enough_to_be_looked_through_within_a_tick(beat: Celery, broker: redis.Redis) -> None:
    run([beat], seconds=300)

    with beat.connection_for_read() as connection:
        queue = connection.SimpleQueue(QUEUE)
        began = time.process_time()  # however busy the machine is
        for _ in range(QUEUE_LIMIT):
            queue.get(block=False).ack()
        took = time.process_time() - began

    assert took < beat.conf.beat_schedule["work-the-line"]["schedule"]


async def test_wake_ups_that_nobody_hears_do_not_pile_up(env: dict[str, str], broker: redis.Redis) -> None:
    app = open_celery(Settings.from_env(env))

    for _ in range(2 * QUEUE_LIMIT):
        await wake_worker(app)

    assert QUEUE_LIMIT == len(waiting(broker))
