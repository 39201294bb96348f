"""What all benches share: throwaway stores, the tools and file handles that they need, and one JSON object as the last line."""

import json
import resource
import shutil
import signal
import subprocess  # nosec B404: servers and clients of ours
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from bench.stage import ROOT, Stage, open_stage
from common.process.embedded import stores


@contextmanager
def open_stores() -> Iterator[tuple[Mapping[str, str], Path]]:
    """The URLs of a PostgreSQL and a Redis of our own, and a folder for logs; all are deleted afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="quotewell-bench-") as home,
        stores(Path(home), {"QUOTEWELL_ENV": "testing"}, throwaway=True) as urls,
        tempfile.TemporaryDirectory(prefix="quotewell-bench-logs-") as logs,
    ):
        folder = Path(logs)
        folder.chmod(0o755)  # nginx's worker runs as another user
        yield urls, folder


@contextmanager
def open_single_stage(name: str, **settings: str) -> Iterator[Stage]:
    """One stage on stores of its own."""
    with open_stores() as (urls, folder), open_stage(urls, folder, name, **settings) as stage:
        yield stage


def spawn(stage: Stage, name: str, command: Sequence[str], **env: str) -> subprocess.Popen[bytes]:
    """Start a process that ends with the stage; its output goes to a log of this name."""
    with (stage.folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(  # nosec B603
            command, env={**stage.env, **env}, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
        )
    stage.children.append(process)
    return process


def run(
    measure: Callable[[], Mapping[str, Any]], *, passed: Callable[[Mapping[str, Any]], bool] = lambda _: True
) -> int:
    """Measure, and print the figures as the last line; the exit code: 1 unless they have `passed`, 130 after SIGINT or SIGTERM."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _interrupt)  # SIGINT too: a shell makes background processes ignore it
    try:
        figures = measure()
    except KeyboardInterrupt:
        return 130
    print(json.dumps(figures))
    return 0 if passed(figures) else 1


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def require_tools(**packages: str) -> None:
    """Exit with a message unless these commands are installed; `packages`: the Debian package of each."""
    if missing := [package for tool, package in packages.items() if shutil.which(tool) is None]:
        raise SystemExit(f"this bench needs more tools: apt-get install {' '.join(missing)}")


def allow_files(count: int) -> None:
    """Raise this process's limit of open files, and that of its children; exit with a message if it may not be raised so far."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise SystemExit(f"this bench needs {count} file handles, not {hard}: see ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
