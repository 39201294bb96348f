"""The worker's entry: `celery -A worker.app worker`. A task is a line over a job."""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from celery import Task
from celery.signals import setup_logging

from common.entry import open_process_logs, read_settings
from common.queue import PRUNE, WORK_LINE, open_celery
from worker import jobs
from worker.process import Process, attach

settings = read_settings()
app = open_celery(settings)
process = Process(settings)
attach(process)


def _logs(**_: Any) -> None:
    open_process_logs(settings)


setup_logging.connect(_logs, weak=False)


def task(name: str, job: Callable[..., Awaitable[None]]) -> None:
    """Make a Celery task of a job; its log lines carry the task's id and the request's, if one asked for it."""

    def run(self: Task) -> None:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(task_id=self.request.id, request_id=self.request.get("request_id"))
        process.run(job)

    app.task(run, name=name, bind=True)


task(WORK_LINE, jobs.work_line)
task(PRUNE, jobs.prune)
