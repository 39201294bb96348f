"""`python -m api`: one process of the service, on HOST and PORT."""

import structlog
from aiohttp import web

from api.app import create_app
from api.docs import DOCUMENT
from api.http.connections import KEEPALIVE_TIMEOUT
from api.http.descriptors import raise_limit
from common.metrics.collector import ServiceCollector
from common.metrics.export import export
from common.process.entry import open_process_logs, read_settings

DRAIN_TIMEOUT = 10  # seconds for requests in flight; the worst case is twice that


def main() -> None:
    settings = read_settings(serves_tokens=True)
    open_process_logs(settings)
    raise_limit()
    structlog.get_logger(__name__).info("api_starts", host=settings.host, port=settings.port)
    export(settings.host, settings.metrics_port, ServiceCollector(settings))
    app = create_app(settings)
    app[DOCUMENT].make()
    web.run_app(
        app,
        host=settings.host,
        port=settings.port,
        print=None,
        shutdown_timeout=DRAIN_TIMEOUT,
        keepalive_timeout=KEEPALIVE_TIMEOUT,
        access_log=None,
    )


if __name__ == "__main__":
    main()
