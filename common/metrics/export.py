"""The HTTP port for Prometheus, served from a thread: metrics of this process, or of all the processes that it forked.

Every path answers, without authentication, so the port must not be public.
"""

import os
import platform
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from common import VERSION
from common.metrics.files import VARIABLE
from common.metrics.forks import no_fork

log = structlog.get_logger(__name__)

RETRY_DELAY = 5.0  # seconds between two attempts to bind a taken port
OWNER = re.compile(r"_(\d+)\.db")
ADDED_UP = ("process_cpu_seconds", "process_open_fds", "process_resident_memory_bytes", "process_virtual_memory_bytes")


class Build(Collector):
    """The version that runs."""

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily("quotewell_build_info", "Always 1.", labels=["version", "python"])
        family.add_metric([VERSION, platform.python_version()], 1)
        return [family]


class Family(Collector):
    """The metrics of forked processes, merged from their files. A dead process's gauges are dropped; its counters stay."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        living = self._forget_dead()
        files = [str(path) for path in self._folder.glob("*.db") if path.stat().st_size]
        yield from MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        yield from _processes(living)

    def _forget_dead(self) -> set[int]:
        """Drop the gauges of dead children, and of this process, which counts nothing; return the living children."""
        owners = {int(found[1]) for path in self._folder.glob("*.db") if (found := OWNER.search(path.name))}
        living = {pid for pid in owners - {os.getpid()} if _lives(pid)}
        for pid in owners - living:
            mark_process_dead(pid, str(self._folder))  # type: ignore[no-untyped-call]
        return living


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _processes(children: Iterable[int]) -> Iterator[Metric]:
    """The `process_` metrics: summed over the children where that makes sense, otherwise this process's own."""
    totals: defaultdict[str, float] = defaultdict(float)
    buried = os.times()
    totals["process_cpu_seconds"] = buried.children_user + buried.children_system
    for pid in children:
        for metric in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
            totals[metric.name] += metric.samples[0].value
    for metric in ProcessCollector(registry=None).collect():
        if metric.name in ADDED_UP:
            [sample] = metric.samples
            metric.samples = [sample._replace(value=sample.value + totals[metric.name])]
        yield metric


def export(host: str, port: int, *more: Collector) -> None:
    """Serve metrics from now on: of this process, its children and `more`. A port of 0 disables it."""
    if not port:
        return
    folder = os.environ.get(VARIABLE)
    registry = CollectorRegistry()
    for collector in (Family(Path(folder)) if folder else REGISTRY, Build(), *more):
        registry.register(collector)
    if not _serve(host, port, registry):
        log.warning("metrics_port_taken", port=port)
        threading.Thread(target=_serve_later, args=(host, port, registry), name="metrics", daemon=True).start()


def _serve(host: str, port: int, registry: CollectorRegistry) -> bool:
    """Whether the port could be bound."""
    try:
        with no_fork():
            server, _ = start_http_server(port, host, registry)
    except OSError:
        return False
    os.register_at_fork(after_in_child=server.socket.close)  # or a child would keep the port after the parent has gone
    return True


def _serve_later(host: str, port: int, registry: CollectorRegistry) -> None:
    """Retry until the port is free: the previous process may still hold it, and serving quotes must not depend on metrics."""
    while not _serve(host, port, registry):
        time.sleep(RETRY_DELAY)
    log.info("metrics_port_free", port=port)
