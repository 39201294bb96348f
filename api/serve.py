"""The service in production: gunicorn with aiohttp's uvloop worker, several processes on one port.

    gunicorn --config python:api.serve api.serve:open_app

The names in lower case are gunicorn's settings. Each process has its own memory and its own tail of the stream.
"""

import os

from aiohttp import web

from api.app import create_app
from common.entry import open_process_logs, read_settings

settings = read_settings(serves_tokens=True)

bind = f"{settings.host}:{settings.port}"
workers = int(os.environ.get("WEB_CONCURRENCY") or 1)
worker_class = "aiohttp.GunicornUVLoopWebWorker"
graceful_timeout = 20  # seconds, of the thirty that platforms give
keepalive = 75  # seconds; longer than what a proxy in front keeps an idle connection
accesslog = None


async def open_app() -> web.Application:
    """One process's application."""
    open_process_logs(settings)
    return create_app(settings)
