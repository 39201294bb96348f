"""What is true of the whole service and not of one process: slots, the line, ages, beat, holds. It is read from the stores when somebody
asks, at most once a second, and every API instance tells the same: who adds instances up takes the maximum.
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
from common.metrics.forks import unforked
from common.metrics.gauges import figures, stores
from common.metrics.snapshot import observe
from common.process.resources import open_resources
from common.process.settings import Settings

SNAPSHOT_TTL = 1.0  # seconds that one look is told
STATEMENT = 1.5  # seconds that one statement may take
SNAPSHOT_TIMEOUT = 4.0  # seconds for all of them; Prometheus waits for ten

Found: TypeAlias = "Future[list[Metric]]"
log = structlog.get_logger(__name__)


class Shared(Collector):
    """Looks at the stores on a thread and a loop that end with the look, for the process that is asked may fork at any time.

    A store that is away is a figure, and never a failed answer.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._begun = 0.0
        self._found: Found | None = None

    def collect(self) -> list[Metric]:
        """A look that hangs is not begun a second time, nor waited for any longer."""
        with self._lock:
            if self._found is None or (self._found.done() and time.monotonic() - self._begun > SNAPSHOT_TTL):
                self._begun, self._found = time.monotonic(), Future()
                threading.Thread(target=self._look, args=(self._found,), name="observe", daemon=True).start()
            found, until = self._found, self._begun + SNAPSHOT_TIMEOUT
        try:
            return found.result(timeout=max(0.0, until - time.monotonic()))
        except TimeoutError:
            return [stores(postgres=False)]

    def _look(self, found: Found) -> None:
        """Whatever goes wrong, what this process counts is told."""
        lacking = [stores(postgres=False)]
        try:
            with unforked():
                asyncio.run(self._observe(found))
        except (StoreUnavailable, TimeoutError):
            pass
        except Exception:
            log.exception("observation_failed")
            lacking = []
        if not found.done():
            found.set_result(lacking)

    async def _observe(self, found: Found) -> None:
        """Told before the stores are closed, which may take its time."""
        async with open_resources(self._settings, name="metrics", statement_timeout=STATEMENT) as resources:
            async with asyncio.timeout(SNAPSHOT_TIMEOUT):
                observation = await observe(resources)
            found.set_result(list(figures(observation)))
