"""`make bench-read`: hot quotes against named references in one run, server on one core and load on the other.

References: a bare aiohttp + uvloop handler that returns the same bytes, FastAPI with one Redis GET a request, and nginx as a cache in
front of us, obeying our headers. The machines are noisy: every figure is a ratio of medians over rounds that take turns.
"""

import json
import os
import re
import shutil
import signal
import statistics
import subprocess  # nosec B404: servers and load generators of ours
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import redis

from bench.stage import Stage, answers, open_stage
from common.process.embedded import stores
from common.process.ports import free_port

ROUNDS = 5
SECONDS = 4
CONNECTIONS = 32
SERVER_CORE, LOAD_CORE = "0", "1"
GUNICORN = ("gunicorn", "--config", "python:api.serve", "api.serve:open_app")
NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off; proxy_cache_path {folder}/cache keys_zone=quotes:10m; client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{ listen 127.0.0.1:{port}; location / {{
        proxy_pass http://127.0.0.1:{upstream}; proxy_http_version 1.1; proxy_set_header Connection "";
        proxy_cache quotes; proxy_cache_use_stale updating; proxy_cache_background_update on; }} }}
}}
"""


def pinned(core: str, *command: str, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """A process on one core, in a group of its own."""
    return subprocess.Popen(  # nosec B603
        ["taskset", "-c", core, *command],
        env=dict(env),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@contextmanager
def server(core: str, *command: str, env: Mapping[str, str], port: int) -> Iterator[int]:
    """A server that answers on its port; ended afterwards."""
    process = pinned(core, *command, env=env)
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
        clients = 16
        subprocess.run(  # nosec B603
            [
                "taskset",
                "-c",
                LOAD_CORE,
                "h2load",
                "--h1",
                f"-c{clients}",
                "-t1",
                f"--rps={rate / clients:.2f}",
                f"--duration={SECONDS}",
                f"--log-file={log.name}",
                url(port),
            ],
            capture_output=True,
            check=True,
        )
        times = sorted(int(line.split("\t")[2]) for line in log)
    return times[int(len(times) * 0.99)] / 1000


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}/api/stock/AAPL"


def body_of(port: int) -> tuple[str, str]:
    """A quote's body and its validator."""
    with urllib.request.urlopen(url(port), timeout=5) as answer:  # nosec B310
        return answer.read().decode(), answer.headers["ETag"]


def storm(port: int, stop: threading.Event, rate: float) -> None:
    """Offer logins at a fixed rate until told to stop; what the pool cannot take is refused with 503."""
    command = ["taskset", "-c", LOAD_CORE, sys.executable, "-m", "bench.logins", str(port), str(rate)]
    process = subprocess.Popen(command)  # nosec B603
    stop.wait()
    process.terminate()
    process.wait()


def rates(ports: Mapping[str, int], tag: str) -> dict[str, float]:
    """Medians over rounds in which everybody takes a turn, so that a noisy minute hits all alike."""
    seen: dict[str, list[float]] = {name: [] for name in [*ports, "304", "changed"]}
    for _ in range(ROUNDS):
        for name, port in ports.items():
            seen[name].append(wrk(port))
        seen["304"].append(wrk(ports["ours"], f"If-None-Match: {tag}"))
        seen["changed"].append(wrk(ports["ours"], f"If-None-Match: {tag[::-1]}"))
    return {name: statistics.median(values) for name, values in seen.items()}


def storm_ratio(port: int, rate: float) -> float:
    """The p99 of hot reads under twenty logins a second, against none, at the same rate; medians of three."""
    calm, stormy = [], []
    for _ in range(3):
        calm.append(p99_at(port, rate))
        stop = threading.Event()
        thread = threading.Thread(target=storm, args=(port, stop, 20.0))
        thread.start()
        try:
            stormy.append(p99_at(port, rate))
        finally:
            stop.set()
            thread.join()
    return statistics.median(stormy) / statistics.median(calm)


def measure(stage: Stage, folder: Path) -> dict[str, float]:
    """All figures, in the shape of the last line."""
    stage.start("simulator")
    env = {
        **stage.env,
        "QUOTEWELL_ENV": "production",
        "JWT_SECRET_KEY": "bench " * 8,
        "HOST": "127.0.0.1",
        "QUOTE_TTL": "3600",
        "CLIENT_LIMIT": "1000000",
        "LOGIN_LIMIT": "1000000",
    }
    ours, bare, usual, front = int(stage.env["PORT"]), free_port(), free_port(), free_port()
    with ExitStack() as stack:
        gunicorn = [sys.executable, "-m", *GUNICORN]
        pid = stack.enter_context(server(SERVER_CORE, *gunicorn, env=env, port=ours))
        idle = max(child.memory_info().rss for child in psutil.Process(pid).children(recursive=True)) / 2**20
        body, tag = body_of(ours)
        with redis.Redis.from_url(stage.env["REDIS_URL"]) as client:
            client.set("usual:AAPL", body)
        named = {"bare": bare, "fastapi": usual}
        for name, port in named.items():
            command = [sys.executable, "-m", "bench.usual", name, str(port)]
            stack.enter_context(server(SERVER_CORE, *command, env={**env, "BENCH_BODY": body}, port=port))
        conf = folder / "nginx.conf"
        conf.write_text(NGINX.format(folder=folder, port=front, upstream=ours))
        stack.enter_context(server(SERVER_CORE, "nginx", "-c", str(conf), env=env, port=front))
        seen = rates({"ours": ours, **named, "nginx": front}, tag)
        print(json.dumps({name: round(rate) for name, rate in seen.items()}))
        half = seen["ours"] / 2
        return {
            "vs_bare": round(seen["ours"] / seen["bare"], 2),
            "vs_usual": round(seen["ours"] / seen["fastapi"], 1),
            "nginx_front_vs_bare": round(seen["nginx"] / seen["bare"], 2),
            "p99_half_load_ms": round(statistics.median(p99_at(ours, half) for _ in range(3)), 2),
            "not_modified_vs_ok": round(seen["304"] / seen["changed"], 2),
            "login_storm_p99_ratio": round(storm_ratio(ours, seen["ours"] / 4), 2),
            "idle_rss_mib": round(idle, 1),
        }


def main() -> int:
    for tool in ("wrk", "h2load", "nginx", "taskset"):
        if shutil.which(tool) is None:
            print(
                f"bench-read needs {tool}: apt-get install wrk nghttp2-client nginx-light util-linux", file=sys.stderr
            )
            return 2
    with tempfile.TemporaryDirectory(prefix="quotewell-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with (
            stores(folder, {"QUOTEWELL_ENV": "testing"}, throwaway=True) as urls,
            open_stage(urls, folder, "read", PROVIDER_LIMITS="1000/1min") as stage,
        ):
            figures = measure(stage, folder)
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
