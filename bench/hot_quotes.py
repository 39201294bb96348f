"""Hot quotes under load: the API and its references on one core, `wrk` and `h2load` on another."""

import os
import re
import signal
import subprocess  # nosec B404: servers and load generators of ours
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bench.stage import Stage, answers

SECONDS = 4  # of one measurement
CONNECTIONS = 32  # of wrk
PACED_CONNECTIONS = 16  # of h2load
SERVER_CORE, LOAD_CORE = "0", "1"
NO_LIMIT = "1000000000"
GUNICORN = (sys.executable, "-m", "gunicorn", "--config", "python:api.serve", "api.serve:open_app")
PRODUCTION = {
    "QUOTEWELL_ENV": "production",
    "JWT_SECRET_KEY": "bench " * 8,
    "HOST": "127.0.0.1",
    "CONNECTION_LIMIT": NO_LIMIT,
    "STREAM_LIMIT": NO_LIMIT,
    "CLIENT_LIMIT": NO_LIMIT,
    "LOGIN_LIMIT": NO_LIMIT,
}


def production(stage: Stage) -> dict[str, str]:
    """What an API process in production gets; its quotes stay fresh for the whole run."""
    return {**stage.env, **PRODUCTION, "QUOTE_TTL": "3600"}


@contextmanager
def server(*command: str, env: Mapping[str, str], port: int) -> Iterator[int]:
    """A server on its core that answers on its port, as its process id; it is ended afterwards."""
    process = subprocess.Popen(  # nosec B603
        ["taskset", "-c", SERVER_CORE, *command],
        env=dict(env),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 20
        while not answers(f"http://127.0.0.1:{port}/api/stock/AAPL?wait=20"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} does not answer on port {port}")
            time.sleep(0.1)
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def wrk(port: int, *headers: str) -> float:
    """Requests a second over keep-alive connections."""
    options = [word for header in headers for word in ("-H", header)]
    output = subprocess.run(  # nosec B603
        ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}", *options, url(port)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if "Non-2xx" in output and not headers:
        raise RuntimeError(output)
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert found is not None, output
    return float(found[1])


def p99_at(port: int, rate: float) -> float:
    """The 99th percentile, in milliseconds, at a fixed rate of requests a second."""
    with tempfile.NamedTemporaryFile("r", suffix=".tsv") as log:
        pace = [f"-c{PACED_CONNECTIONS}", f"--rps={rate / PACED_CONNECTIONS:.2f}", f"--duration={SECONDS}"]
        command = ["taskset", "-c", LOAD_CORE, "h2load", "--h1", "-t1", *pace, f"--log-file={log.name}", url(port)]
        subprocess.run(command, capture_output=True, check=True)  # nosec B603
        times = sorted(int(line.split("\t")[2]) for line in log)
    return times[int(len(times) * 0.99)] / 1000


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}/api/stock/AAPL"
