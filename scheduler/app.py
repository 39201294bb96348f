"""The beat's entry: `celery -A scheduler.app beat`. A repeated tick is harmless, and a late one expires."""

from typing import Any

from celery.signals import setup_logging

from common.process.broker import PRUNE, TICKED, WAKE_EXPIRES, WORK_LINE, open_celery
from common.process.entry import open_process_logs, read_settings

settings = read_settings()
app = open_celery(settings)

# task, seconds between two ticks
SCHEDULE = {
    "work-the-line": (WORK_LINE, 2.0),
    "prune": (PRUNE, 3600.0),
}

app.conf.beat_schedule = {
    name: {
        "task": task,
        "schedule": period,
        "options": {"expires": max(period, WAKE_EXPIRES), "headers": {TICKED: True}},
    }
    for name, (task, period) in SCHEDULE.items()
}


def _logs(**_: Any) -> None:
    open_process_logs(settings)


setup_logging.connect(_logs, weak=False)
