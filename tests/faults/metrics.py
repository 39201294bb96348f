"""What an API counts of itself, as Prometheus reads it. Its clock is fair where the witnesses' is not: they share a loop with all wires."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.faults.cluster import Cluster

AT_ONCE = "1.0"  # the bucket of a second, within which everything is answered that does not wait
ROUTES = ("/api/stocks", "/api/market/overview", "/api/watchlist", "/api/ops/")  # how those begin that do not wait
ALL = "all"
TOOK = "quotewell_http_request_duration_seconds_bucket"
CAUGHT_UP = "quotewell_stream_caught_up_timestamp_seconds"
LOOKUPS = "quotewell_cache_lookups_total"


async def scrape(cluster: Cluster, name: str) -> Iterator[Sample]:
    async with cluster.stack.http.get(f"http://127.0.0.1:{cluster.metrics[name]}/metrics") as answer:
        text = await answer.text()
    return (sample for family in text_string_to_metric_families(text) for sample in family.samples)


async def count_slow(cluster: Cluster, name: str) -> Counter[str]:
    """How many requests of each kind were not answered at once, since the process began; and of all kinds, how many there were."""
    slow = Counter[str]()
    for metric, told, value, *_ in await scrape(cluster, name):
        if metric == TOOK and told["route"].startswith(ROUTES) and told["le"] in (AT_ONCE, "+Inf"):
            slow[f"{told['method']} {told['route']} {told['status']}"] += int(value if told["le"] == "+Inf" else -value)
            slow[ALL] += int(value) if told["le"] == "+Inf" else 0
    return slow


async def caught_up_at(cluster: Cluster, name: str) -> float:
    """When it last had all news (unix seconds)."""
    return next(sample.value for sample in await scrape(cluster, name) if sample.name == CAUGHT_UP)


async def count_hits(cluster: Cluster, name: str) -> Counter[str]:
    """Quotes that were found, by the layer that had them."""
    found = [sample for sample in await scrape(cluster, name) if sample.name == LOOKUPS]
    return Counter({each.labels["layer"]: int(each.value) for each in found if each.labels["outcome"] == "hit"})
