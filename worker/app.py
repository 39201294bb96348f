"""The worker's entry: `celery -A worker.app worker`. Each task runs one job of worker/jobs.py or worker/pruning.py."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import structlog
from celery import Task
from celery.signals import setup_logging

from common.metrics.files import share
from common.process.broker import PRUNE, TICKED, WORK_LINE, open_celery
from common.process.entry import open_process_logs, read_settings
from worker.process import Process, attach

settings = read_settings()
share(settings.worker_metrics_port)
from worker import jobs, metrics, pruning  # noqa: E402  after `share`, because they define metrics

app = open_celery(settings)
process = Process(settings)
attach(process)
metrics.attach(settings)


def _logs(**_: Any) -> None:
    open_process_logs(settings)


setup_logging.connect(_logs, weak=False)


def task(name: str, job: Callable[..., Awaitable[None]]) -> None:
    """Register a job as a Celery task. Its log lines carry the task's id, and the id of the request that woke the worker."""

    def run(self: Task) -> None:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(task_id=self.request.id, request_id=self.request.get("request_id"))
        with metrics.timed(name):
            process.run(partial(job, ticked=bool(self.request.get(TICKED))))

    app.task(run, name=name, bind=True)


task(WORK_LINE, jobs.work_queue)
task(PRUNE, pruning.prune)
