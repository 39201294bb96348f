"""The service in production: gunicorn with aiohttp's uvloop worker, several processes on one port.

    gunicorn --config python:api.serve api.serve:open_app

The names in lower case are gunicorn's settings. Each process has its own memory and its own tail of the stream.
"""

import os
from typing import Any

from aiohttp import web
from gunicorn import glogging

from common.metrics.files import share
from common.process.entry import open_process_logs, read_settings

settings = read_settings(serves_tokens=True)
share(settings.metrics_port)
from api.app import create_app  # noqa: E402  from here on metrics are defined
from api.docs import DOCUMENT  # noqa: E402
from api.http.connections import KEEPALIVE_TIMEOUT  # noqa: E402
from api.http.descriptors import raise_limit  # noqa: E402
from common.metrics.collector import ServiceCollector  # noqa: E402
from common.metrics.export import export  # noqa: E402

raise_limit()  # the processes that are forked inherit it
bind = f"{settings.host}:{settings.port}"
workers = int(os.environ.get("WEB_CONCURRENCY") or 1)
worker_class = "aiohttp.GunicornUVLoopWebWorker"
graceful_timeout = 20  # seconds, of the thirty that platforms give
keepalive = KEEPALIVE_TIMEOUT
accesslog = None
control_socket_disable = True  # unused, and two services of one user would share its path


class Logger(glogging.Logger):  # type: ignore[misc]
    """Send gunicorn's own log lines, and those of its children, through our logging."""

    def setup(self, cfg: Any) -> None:
        open_process_logs(settings)
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


logger_class = Logger


def when_ready(_arbiter: Any) -> None:
    """Serve metrics from the parent, for all processes."""
    export(settings.host, settings.metrics_port, ServiceCollector(settings))


async def open_app() -> web.Application:
    """One process's application."""
    app = create_app(settings)
    app[DOCUMENT].make()
    return app
