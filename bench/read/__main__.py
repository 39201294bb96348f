"""`make bench-read`: hot quotes against named references in one run, server on one core and load on the other.

References: a bare aiohttp + uvloop handler that returns the same bytes, FastAPI with one Redis GET a request, and nginx as a cache in
front of us, obeying our headers. The machines are noisy: every figure is a ratio of medians over rounds that take turns.
"""

import json
import statistics
import subprocess  # nosec B404: servers and load generators of ours
import sys
import threading
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack

import psutil
import redis

from bench.hot_quotes import GUNICORN, LOAD_CORE, p99_at, production, server, url, wrk
from bench.run import open_single_stage, require_tools, run
from bench.stage import Stage
from common.process.ports import free_port

ROUNDS = 5
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


def body_of(port: int) -> tuple[str, str]:
    """A quote's body and its validator."""
    with urllib.request.urlopen(url(port), timeout=5) as answer:  # nosec B310
        return answer.read().decode(), answer.headers["ETag"]


def storm(port: int, stop: threading.Event, rate: float) -> None:
    """Offer logins at a fixed rate until `stop` is set; the API refuses with 503 what its hashing threads cannot take."""
    command = ["taskset", "-c", LOAD_CORE, sys.executable, "-m", "bench.login.clients", str(port), str(rate)]
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


def measure(stage: Stage) -> dict[str, float]:
    """All figures, in the shape of the last line."""
    stage.start("simulator")
    env = production(stage)
    ours, bare, usual, front = int(stage.env["PORT"]), free_port(), free_port(), free_port()
    with ExitStack() as stack:
        pid = stack.enter_context(server(*GUNICORN, env=env, port=ours))
        idle = max(child.memory_info().rss for child in psutil.Process(pid).children(recursive=True)) / 2**20
        body, tag = body_of(ours)
        with redis.Redis.from_url(stage.env["REDIS_URL"]) as client:
            client.set("usual:AAPL", body)
        named = {"bare": bare, "fastapi": usual}
        for name, port in named.items():
            command = [sys.executable, "-m", "bench.references", name, str(port)]
            stack.enter_context(server(*command, env={**env, "BENCH_BODY": body}, port=port))
        conf = stage.folder / "nginx.conf"
        conf.write_text(NGINX.format(folder=stage.folder, port=front, upstream=ours))
        stack.enter_context(server("nginx", "-c", str(conf), env=env, port=front))
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


def measure_on_stage() -> dict[str, float]:
    require_tools(wrk="wrk", h2load="nghttp2-client", nginx="nginx-light", taskset="util-linux")
    with open_single_stage("read", PROVIDER_LIMITS="1000/1min") as stage:
        return measure(stage)


if __name__ == "__main__":
    sys.exit(run(measure_on_stage))
