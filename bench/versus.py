"""`make bench-versus`: what a key's calls buy: Quotewell, a cache-aside clone and an HTTP cache, each in front of the same provider.

The same readers, one contender after the other, each with a provider of its own that counts. It is a day of five calls a minute played
thirty times as fast: rates and lifetimes are scaled, the window of a minute is not. What each figure means stands in bench/README.md.
"""

import asyncio
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from bench.ages import mean_read_age
from bench.reads import read_for
from bench.run import open_stores, require_tools, run, spawn
from bench.stage import Stage, answers, open_stage
from common.core.budget.staleness import lower_bound, zipf
from common.process.ports import free_port

SCALE = 30
CALLS = 5 * SCALE  # a minute
TTL = 60 / SCALE  # seconds
WEIGHTS = {f"SIM{number:04}": weight for number, weight in enumerate(zipf(50), 1)}
READS = 60.0  # a second
WARM, SECONDS = 90.0, 60.0  # a cold start spends a part of the first minute at once, and is felt in the second
NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off; proxy_cache_path {folder}/cache keys_zone=quotes:10m; client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    limit_req_zone $server_name zone=provider:1m rate={calls}r/m;
    server {{
        listen 127.0.0.1:{port};
        location ~ ^/api/stock/(?<symbol>.+)$ {{
            proxy_pass http://127.0.0.1:{inner}/query?function=GLOBAL_QUOTE&symbol=$symbol&apikey=bench;
            proxy_cache quotes; proxy_cache_valid 200 {ttl:.0f}s; proxy_cache_lock on;
            proxy_cache_use_stale error timeout updating http_503; proxy_cache_background_update on;
        }}
    }}
    server {{
        listen 127.0.0.1:{inner}; server_name provider;
        limit_req zone=provider; limit_req_status 503;
        location / {{ proxy_pass http://127.0.0.1:{provider}; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Result:
    """Of one contender, in the measured minute: reads that got a price, age of prices against the bound, calls and those over the limit."""

    answered: float
    age_ratio: float
    used: float
    over_limit: int


def start_ours(stage: Stage) -> None:
    stage.start("worker", "beat", "api")


def start_clone(stage: Stage) -> None:
    """As most begin: a web framework, a key in Redis with a lifetime, a call on each miss."""
    command = [sys.executable, "-m", "bench.references", "clone", stage.env["PORT"]]
    spawn(stage, "contender", command, PROVIDER=stage.simulator, BENCH_TTL=f"{TTL:.0f}")


def start_nginx(stage: Stage) -> None:
    """An HTTP cache at its best: stale while it updates, one update at a time, and no more calls than are allowed."""
    conf = stage.folder / "nginx.conf"
    ports = {"port": stage.env["PORT"], "inner": free_port(), "provider": stage.settings.simulator_port}
    conf.write_text(NGINX.format(folder=stage.folder, calls=CALLS, ttl=TTL, **ports))
    stage.folder.chmod(0o755)
    spawn(stage, "contender", ["nginx", "-c", str(conf)])


CONTENDERS: Mapping[str, Callable[[Stage], None]] = {
    "quotewell": start_ours,
    "cache_aside": start_clone,
    "http_cache": start_nginx,
}


def measure(stage: Stage, start: Callable[[Stage], None]) -> Result:
    """From a cold start: time to settle, then a minute that counts."""
    stage.start("simulator")
    stage.wait_until(lambda: answers(f"{stage.simulator}/_limits"), "the simulator")
    start(stage)
    port = int(stage.env["PORT"])
    stage.wait_until(lambda: listens(port), "the contender")
    begun = time.time()
    asyncio.run(read_for(port, WEIGHTS, seconds=WARM, per_second=READS, least=0))
    done = asyncio.run(read_for(port, WEIGHTS, seconds=SECONDS, per_second=READS, least=0))
    with urllib.request.urlopen(f"{stage.simulator}/_calls", timeout=10) as answer:  # nosec B310
        seen = json.load(answer)
    return judge(begun, done, seen["calls"], seen["over_limit"])


def listens(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).close()  # nosec B310
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def judge(begun: float, done: int, calls: list[dict[str, str]], over_limit: int) -> Result:
    """By the provider's log alone; what was never fetched is as old as the run."""
    times = [(call["symbol"], datetime.fromisoformat(call["time"]).timestamp(), call["outcome"]) for call in calls]
    begin, end = begun + WARM, begun + WARM + SECONDS
    responses = ((symbol, at) for symbol, at, outcome in times if outcome == "ok")
    age = mean_read_age(WEIGHTS, responses, dict.fromkeys(WEIGHTS, begun), begin, end)
    bound = 60 * lower_bound(list(WEIGHTS.values()), CALLS)
    return Result(
        answered=round(done / (SECONDS * READS), 4),
        age_ratio=round(age / bound, 2),
        used=round(sum(begin <= at < end for _, at, _ in times) / (CALLS * SECONDS / 60), 2),
        over_limit=over_limit,
    )


def measure_all() -> dict[str, dict[str, float]]:
    require_tools(nginx="nginx-light")
    figures: dict[str, dict[str, float]] = {}
    settings = {
        "PROVIDER_LIMITS": f"{CALLS}/1min",
        "QUOTE_TTL": f"{TTL:.0f}",
        "OVERVIEW_SYMBOLS": "SIM0001",
        "SIMULATOR_EXTRA_SYMBOLS": str(len(WEIGHTS)),
        "SIMULATOR_LATENCY": "0.05",
    }
    with open_stores() as (urls, folder):
        for contender, start in CONTENDERS.items():
            with open_stage(urls, folder, f"versus_{contender}", **settings) as stage:
                seen = measure(stage, start)
            print(f"{contender:>12} {seen}", flush=True)
            figures[contender] = asdict(seen)
    return figures


if __name__ == "__main__":
    sys.exit(run(measure_all))
