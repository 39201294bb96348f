"""Metrics of the whole service rather than of one process: slots, queue, ages, beat, holds.

They are read from the stores at a scrape, at most once a second. Every API instance reports the same values: aggregate them with max.
"""

import asyncio
import threading
import time
from concurrent.futures import Future
from typing import TypeAlias

import structlog
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from common.errors import StoreUnavailable
from common.metrics.forks import no_fork
from common.metrics.gauges import stores, to_metrics
from common.metrics.snapshot import observe
from common.process.resources import open_resources
from common.process.settings import Settings

SNAPSHOT_TTL = 1.0  # seconds
STATEMENT_TIMEOUT = 1.5  # seconds
SNAPSHOT_TIMEOUT = 4.0  # seconds; Prometheus waits for ten

Metrics: TypeAlias = "Future[list[Metric]]"
log = structlog.get_logger(__name__)


class ServiceCollector(Collector):
    """Read the stores on a thread and an event loop that end with the reading, because the process may fork at any time.

    A store that is down is reported in a metric; it never fails the scrape.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._begun = 0.0
        self._metrics: Metrics | None = None

    def collect(self) -> list[Metric]:
        """The latest metrics. While a reading hangs, no second one begins, and scrapes wait no longer than its timeout."""
        with self._lock:
            if self._metrics is None or (self._metrics.done() and time.monotonic() - self._begun > SNAPSHOT_TTL):
                self._begun, self._metrics = time.monotonic(), Future()
                threading.Thread(target=self._read, args=(self._metrics,), name="observe", daemon=True).start()
            metrics, until = self._metrics, self._begun + SNAPSHOT_TIMEOUT
        try:
            return metrics.result(timeout=max(0.0, until - time.monotonic()))
        except TimeoutError:
            return [stores(postgres=False)]

    def _read(self, metrics: Metrics) -> None:
        """Set a result whatever goes wrong, so that this process's own metrics are still exported."""
        fallback = [stores(postgres=False)]
        try:
            with no_fork():
                asyncio.run(self._observe(metrics))
        except (StoreUnavailable, TimeoutError):
            pass
        except Exception:
            log.exception("observation_failed")
            fallback = []
        if not metrics.done():
            metrics.set_result(fallback)

    async def _observe(self, metrics: Metrics) -> None:
        """Set the result before closing the stores, which may take seconds."""
        async with open_resources(self._settings, name="metrics", statement_timeout=STATEMENT_TIMEOUT) as resources:
            async with asyncio.timeout(SNAPSHOT_TIMEOUT):
                snapshot = await observe(resources)
            metrics.set_result(list(to_metrics(snapshot)))
