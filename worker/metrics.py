"""Metrics of workers alone. A worker's processes share them (common/metrics/files.py); the parent exports them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery.signals import worker_init
from prometheus_client import Histogram

from common.metrics.export import export
from common.process.settings import Settings

TASKS = Histogram(
    "quotewell_task_duration_seconds",
    "Duration of a task, by how it ended; one that processes the queue takes about eight seconds.",
    ["task", "outcome"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 2, 5, 7.5, 8.5, 10, 15, 30, 60, 120),
)


@contextmanager
def timed(task: str) -> Iterator[None]:
    """Count a task as `ok`, or as `failed` by whatever it raises."""
    begun, outcome = time.monotonic(), "failed"
    try:
        yield
        outcome = "ok"
    finally:
        TASKS.labels(task, outcome).observe(time.monotonic() - begun)


def attach(settings: Settings) -> None:
    """Export metrics from the parent once a worker starts; other Celery commands import this module too."""

    def before_fork(**_: Any) -> None:
        export(settings.host, settings.worker_metrics_port)

    worker_init.connect(before_fork, weak=False)
