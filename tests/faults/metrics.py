"""The metrics of an API. Its own clock is fair; that of the observers is not, because they share a loop with all proxies."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.faults.cluster import Cluster

FAST_BUCKET = "1.0"  # seconds within which every request is answered that does not wait for a call
FAST_ROUTES = ("/api/stocks", "/api/market/overview", "/api/watchlist", "/api/ops/")  # prefixes of those
ALL = "all"
TOOK = "quotewell_http_request_duration_seconds_bucket"
CAUGHT_UP = "quotewell_stream_caught_up_timestamp_seconds"
LOOKUPS = "quotewell_cache_lookups_total"


async def scrape(cluster: Cluster, name: str) -> Iterator[Sample]:
    async with cluster.stack.http.get(f"http://127.0.0.1:{cluster.metrics[name]}/metrics") as answer:
        text = await answer.text()
    return (sample for family in text_string_to_metric_families(text) for sample in family.samples)


async def count_slow(cluster: Cluster, name: str) -> Counter[str]:
    """Requests by kind that took longer than that since the process started; under `ALL`, the number of all requests."""
    slow = Counter[str]()
    for metric, labels, value, *_ in await scrape(cluster, name):
        if metric == TOOK and labels["route"].startswith(FAST_ROUTES) and labels["le"] in (FAST_BUCKET, "+Inf"):
            slow[f"{labels['method']} {labels['route']} {labels['status']}"] += int(
                value if labels["le"] == "+Inf" else -value
            )
            slow[ALL] += int(value) if labels["le"] == "+Inf" else 0
    return slow


async def caught_up_at(cluster: Cluster, name: str) -> float:
    """When it had last read the stream to its end (unix seconds)."""
    return next(sample.value for sample in await scrape(cluster, name) if sample.name == CAUGHT_UP)


async def count_hits(cluster: Cluster, name: str) -> Counter[str]:
    """Quotes that were found, by the layer that had them."""
    found = [sample for sample in await scrape(cluster, name) if sample.name == LOOKUPS]
    return Counter({each.labels["layer"]: int(each.value) for each in found if each.labels["outcome"] == "hit"})
