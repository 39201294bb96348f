"""The directory through which forked processes share their metrics; the parent creates, reads and removes it.

Call `share` before importing any module that defines a metric: prometheus_client decides at import whether values live in memory or in
files (https://prometheus.github.io/client_python/multiprocess/). So this module imports no client.
"""

import atexit
import os
import shutil
import sys
import tempfile

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def share(port: int) -> None:
    """Let this process and those it forks share their metrics, unless `port` is 0 and metrics are off."""
    if not port:
        return
    try:
        folder = tempfile.mkdtemp(prefix="quotewell-metrics-")
    except OSError:
        print("quotewell: TMPDIR: expected a directory that can be written to, for metrics", file=sys.stderr)
        raise SystemExit(2) from None
    os.environ[VARIABLE] = folder
    atexit.register(_remove, folder, os.getpid())


def _remove(folder: str, owner: int) -> None:
    """Remove the folder at exit. Children inherit this handler; only the parent owns the folder."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
