"""`make bench-search`: what a search over the provider's listing costs, and how often it finds what is meant.

Queries are the everyday names of `tests/core/search/test_everyday_names.py`, whole and as they are typed, letter by letter. The
reference is a plain scan of all names with `in`, in the same run.
"""

import gc
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from statistics import median, quantiles

from bench.run import run
from common.core.models import Listed
from common.core.search.index import Index
from common.core.search.ranking import build_index
from tests.core.search.test_everyday_names import EVERYDAY
from tests.listing import make_listing

ROUNDS = 5
Find = Callable[[str], object]


def measure() -> dict[str, float]:
    """All figures, in the shape of the last line."""
    listing = make_listing()
    begun = time.process_time()
    index = build_index(listing)
    built = time.process_time() - begun
    names = [row.name.upper() for row in listing]
    typed = list(dict.fromkeys(name[:end] for name in EVERYDAY for end in range(1, len(name) + 1)))
    print(f"{len(listing):,} rows, {len(EVERYDAY)} names, {len(typed):,} queries as they are typed", flush=True)
    ours, whole, scan = _times(typed, index.find), _times(list(EVERYDAY), index.find), _scan(names, typed)
    return {
        "p50_ms": round(median(ours), 2),
        "p99_ms": round(quantiles(ours, n=100)[-1], 2),
        "whole_p99_ms": round(quantiles(whole, n=100)[-1], 2),
        "vs_scan": round(median(ours) / median(scan), 2),
        **_right(index),
        "build_s": round(built, 2),
        "index_mib": round(_index_size(listing), 1),
    }


def _times(queries: Sequence[str], find: Find) -> list[float]:
    """Milliseconds of each query in each round."""
    return [_timed(find, query) for _ in range(ROUNDS) for query in queries]


def _timed(find: Find, query: str) -> float:
    begun = time.perf_counter()
    find(query)
    return 1000 * (time.perf_counter() - begun)


def _scan(names: Sequence[str], queries: Sequence[str]) -> list[float]:
    return _times(queries, lambda query: [name for name in names if query.upper() in name])


def _right(index: Index) -> dict[str, float]:
    """How many names have the right symbol first, and among the ten."""
    found = {name: [match.symbol for match in index.find(name)] for name in EVERYDAY}
    first = sum(found[name][:1] == [symbol] for name, symbol in EVERYDAY.items())
    shown = sum(symbol in found[name] for name, symbol in EVERYDAY.items())
    return {"names": len(EVERYDAY), "first": first, "shown": shown}


def _index_size(listing: Sequence[Listed]) -> float:
    """Memory of an index beside the listing, in MiB."""
    gc.collect()
    tracemalloc.start()
    index = build_index(listing)
    gc.collect()
    allocated, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return allocated / 2**20 if index else 0.0


if __name__ == "__main__":
    sys.exit(run(measure))
