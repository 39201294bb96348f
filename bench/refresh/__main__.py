"""`python -m bench.refresh`: how near the real processes come to what theory allows. Under nine minutes; needs only this machine.

Prints a table, then one JSON object as the last line. bench/README.md says what each figure means.
"""

import asyncio
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.refresh import grants, misses, model, quota
from bench.refresh.processes import Outcome, Scene, play
from bench.run import open_stores, run
from bench.stage import open_stage
from common.process.settings import Settings

KNOWN = (
    Scene("n50", 50, "150/1min", warm=5, seconds=62),
    Scene("n200", 200, "1500/1min", warm=5, seconds=57),
    Scene("n1000", 1000, "1500/1min", warm=5, seconds=80),
)
DEAD = Scene("dead20", 1000, "1500/1min", warm=5, seconds=75, dead_every=5)
LEARNT = Scene("learnt", 200, "1500/1min", warm=25, seconds=50, reads_per_second=150)


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything runs: the stores' URLs, and a folder for the logs."""

    urls: Mapping[str, str]
    folder: Path

    def settings(self, name: str, **settings: str) -> Settings:
        """Of a process that would run on a new database of this name."""
        with open_stage(self.urls, self.folder, name, **settings) as stage:
            return stage.settings


def show_model() -> None:
    print("order alone (pure model, Zipf weights, read-weighted age / bound)")
    print(f"  {'N':>6} {'round robin':>14}" + "".join(f"{name:>16}" for name in model.POLICIES))
    for symbols in model.SIZES:
        reached = (model.ratio(power, symbols) for power in model.POLICIES.values())
        row = "".join(f"{ratio:>16.3f}" for ratio in reached)
        print(f"  {symbols:>6} {model.ratio_round_robin(symbols):>14.3f}{row}", flush=True)


def measure_virtual(place: Place) -> dict[str, object]:
    """Grants, quota and misses, on the real ledger with a clock that the bench sets."""
    times = asyncio.run(grants.measure(place.settings("grants"), place.settings("million")))
    print(
        f"a grant among {grants.WANTED:,} wanted symbols: median {times.median:.1f} ms, p95 {times.p95:.1f} ms; of 100 symbols "
        f"{times.bulk:.1f} ms; among {grants.MANY:,}: {times.million:.1f} ms; granted and settled: {times.per_minute:,.0f} a minute",
        flush=True,
    )
    day = asyncio.run(quota.measure(place.settings("quota", PROVIDER_LIMITS=quota.LIMITS, MARKET_HOURS="nyse")))
    print(
        f"{quota.LIMITS}, N={quota.SYMBOLS}: mean session age {day.age:.2f} min, {day.calls} calls in the session; "
        f"all 500 in it at best: {day.bound:.2f} min",
        flush=True,
    )
    limits = {"PROVIDER_LIMITS": misses.LIMITS}
    seen = asyncio.run(misses.measure(place.settings("misses", **limits), misses.once_a_minute))
    bunched = asyncio.run(misses.measure(place.settings("bunched", **limits), misses.poisson))
    mean, p95 = misses.ideal()
    print(
        f"a never-seen symbol at {misses.LIMITS}: one a minute {seen.mean:.1f} s, p95 {seen.p95:.1f} s; as a Poisson process "
        f"{bunched.mean:.1f} s, p95 {bunched.p95:.1f} s (evenly spread slots and no other rule: {mean:.1f} s, p95 {p95:.1f} s)",
        flush=True,
    )
    return {
        "cold_symbol_wait_s": {"mean": round(seen.mean, 2), "p95": round(seen.p95, 2)},
        "grant_ms_100k": round(times.median, 1),
        "grant_ms_1m": round(times.million, 1),
        "grant_bulk_ms": round(times.bulk, 1),
        "grants_settled_a_minute": round(times.per_minute),
        "quota500_mean_age_min": round(day.age, 2),
    }


def show(seen: Outcome) -> Outcome:
    at_five = seen.scene.per_second * 60 / 5 / 60  # seconds here are so many minutes at 5 calls a minute
    print(
        f"  {seen.scene.name:>7} {seen.scene.symbols:>5} {seen.scene.limits:>10} {seen.age * at_five:>8.2f}"
        f" {seen.bound * at_five:>8.2f} {seen.ratio:>8.3f} {seen.used:>8.2%} {seen.calls:>6} {seen.refused:>8}"
        f" {seen.most_in_window:>6} {seen.over_limit:>5}",
        flush=True,
    )
    return seen


def measure_live(place: Place) -> dict[str, object]:
    """The real processes, one scene after the other."""
    print("real processes; ages in minutes as at 5/min; `over` is `provider calls over limit` as the simulator counted")
    heads = ("run", "N", "limits", "age", "bound", "ratio", "used", "calls", "refused", "most", "over")
    print("  {:>7} {:>5} {:>10} {:>8} {:>8} {:>8} {:>8} {:>6} {:>8} {:>6} {:>5}".format(*heads), flush=True)
    known = [show(play(place.urls, place.folder, scene)) for scene in KNOWN]
    dead, learnt = (show(play(place.urls, place.folder, scene)) for scene in (DEAD, LEARNT))
    return {
        "age_ratio": {str(seen.scene.symbols): round(seen.ratio, 3) for seen in known},
        "age_ratio_dead20": round(dead.ratio, 3),
        "age_ratio_learnt": round(learnt.ratio, 3),
        "over_limit_calls": sum(seen.over_limit for seen in (*known, dead, learnt)),
        "utilisation": round(min(seen.used for seen in known), 4),
    }


def measure() -> dict[str, object]:
    begun = time.monotonic()
    show_model()
    with open_stores() as (urls, folder):
        place = Place(urls, folder)
        virtual = measure_virtual(place)
        figures = measure_live(place) | virtual
    print(f"took {time.monotonic() - begun:.0f} s")
    return figures


if __name__ == "__main__":
    sys.exit(run(measure))
