"""Where processes that one parent forks count together: files in a directory that the parent makes, reads and removes.

`share` comes before the import of whatever defines a metric, for prometheus-client decides at its own import where values live. So this
module knows no metric and imports no client.
"""

import atexit
import os
import shutil
import sys
import tempfile

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def share(port: int) -> None:
    """Let this process and those it forks count together, if somebody will ask for it: `port` is not 0."""
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
    """Children inherit the call and the folder; the latter is not theirs."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
