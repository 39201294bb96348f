"""`python -m bench.fair`: who gets a key's calls, under people, outages and attackers. Under nine minutes; needs nothing but this machine.

A table for people, then one JSON object as the last line. What each figure means stands in bench/README.md.
"""

import asyncio
import json
import logging
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from types import FrameType
from typing import Any

import structlog

from bench import fair_closes, fair_keys, fair_lists, fair_outage, fair_promises, fair_strangers
from bench.stage import open_stage
from common.core.provider.outcomes import Outcome
from common.process.embedded import stores
from common.process.settings import Settings

FREE = {"ALPHA_VANTAGE_PLAN": "free", "MARKET_HOURS": "nyse"}
STANDARD = {"ALPHA_VANTAGE_PLAN": "standard", "MARKET_HOURS": "nyse"}
LONG_LISTS = STANDARD | {"MAX_WATCHLIST_SIZE": "1000"}
AT_ONCE = 2  # runs


@dataclass(frozen=True, slots=True)
class Run:
    """One figure's run on a database of its own."""

    name: str
    env: Mapping[str, str]
    measure: Callable[[Settings], Coroutine[Any, Any, Any]]


RUNS = (  # the longest first
    Run("many", FREE, partial(fair_strangers.measure, networks=1_000)),
    Run("newcomers", STANDARD, fair_lists.measure_newcomers),
    Run("one", FREE, partial(fair_strangers.measure, networks=1)),
    Run("two", STANDARD, fair_keys.measure_two),
    Run("week", FREE, fair_keys.measure_week),
    Run("lost", FREE, partial(fair_outage.measure, begins=fair_outage.PROBED, outcome=Outcome.UNAVAILABLE)),
    Run("lost_amid", FREE, partial(fair_outage.measure, begins=fair_outage.SWEPT, outcome=Outcome.UNAVAILABLE)),
    Run("refused", FREE, partial(fair_outage.measure, begins=fair_outage.PROBED, outcome=Outcome.UNSENT)),
    Run("refused_amid", FREE, partial(fair_outage.measure, begins=fair_outage.SWEPT, outcome=Outcome.UNSENT)),
    Run("closes_outage", STANDARD, partial(fair_closes.measure, trouble="outage")),
    Run("closes_hasty", STANDARD, partial(fair_closes.measure, trouble="hasty")),
    Run("closes_failed", STANDARD, partial(fair_closes.measure, trouble="failed")),
    Run("closes_free", FREE, partial(fair_closes.measure, trouble="free")),
    Run("alone", LONG_LISTS, partial(fair_lists.measure_small_users, busy=False)),
    Run("busy", LONG_LISTS, partial(fair_lists.measure_small_users, busy=True)),
    *(Run(name, STANDARD, measure) for name, measure in fair_promises.SESSIONS.items()),
    Run("promises_spent", FREE, fair_promises.measure_spent_days),
)


@dataclass(frozen=True, slots=True)
class Results:
    """What the runs found, by their names."""

    found: dict[str, Any] = field(default_factory=dict)

    @property
    def over(self) -> int:
        return sum(result.over for result in self.found.values())


def carry_out(work: tuple[int, Settings]) -> tuple[str, Any]:
    """In a process of its own."""
    run, settings = RUNS[work[0]], work[1]
    return run.name, asyncio.run(run.measure(settings))


def _begin_process() -> None:
    """Logs of the product are no figures; the parent ends us."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def measure(urls: Mapping[str, str], folder: Path) -> Results:
    work = []
    for place, run in enumerate(RUNS):
        with open_stage(urls, folder, run.name, **run.env) as stage:
            work.append((place, stage.settings))
    with Pool(AT_ONCE, _begin_process) as pool:
        return Results(dict(pool.imap(carry_out, work)))


def show_strangers(found: Mapping[str, Any]) -> None:
    for name, who in (("one", "one network, each 2 s"), ("many", "1,000 networks, each second")):
        seen = found[name]
        print(
            f"strangers, {who}: {seen.share:.2f} of a day; {seen.closes} of {fair_strangers.WATCHED} watched symbols have the"
            f" evening's close by midnight (of strangers' symbols too: {seen.others}); the line said {dict(seen.verdicts)}"
        )


def show_lists(found: Mapping[str, Any]) -> None:
    newcomers = found["newcomers"]
    print(
        f"newcomers add 50 nonsense symbols a minute: the others' age / bound {newcomers.ratio:.3f};"
        f" {newcomers.nonsense:.1%} of the calls were nonsense; {newcomers.refused} of {newcomers.misses} misses of another account"
        f" were refused, mean wait of the rest {newcomers.wait:.1f} s"
    )
    for name in ("alone", "busy"):
        seen = found[name]
        print(
            f"a list of 3 beside an import of 500, {name}: calls until its third symbol {seen.turns}, after"
            f" {[pause.total_seconds() for pause in fair_lists.PAUSES]} s; of the import {seen.queued} were queued as a user's"
        )


def show_outages(found: Mapping[str, Any]) -> None:
    for name in ("lost", "lost_amid", "refused", "refused_amid"):
        seen = found[name]
        print(
            f"outage of 6 h, {name}: failed calls {seen.cost:.2f} of a day; first answer {seen.recovery.total_seconds():.1f} s after the"
            f" return (the wait for that probe was {seen.interval.total_seconds():.0f} s); a day later {seen.behind} watched symbols lack"
            " the evening's close"
        )


def show_closes(found: Mapping[str, Any]) -> None:
    missing = {name.removeprefix("closes_"): seen.missing for name, seen in found.items() if name.startswith("closes_")}
    print(f"of {fair_closes.WATCHED} watched symbols without Friday's close by midnight: {missing}")


def show_keys(found: Mapping[str, Any]) -> None:
    week, two = found["week"], found["two"]
    print(
        f"free key, {fair_keys.WATCHED} symbols: calls in the windows {week.used}, {week.share:.3f} of all (with Saturday up to its 24 h:"
        f" {week.share_of_days:.3f}); the worst symbol was {week.behind} closes behind"
    )
    print(f"two keys on one database: age / bound {two.ratio:.3f}; calls a minute {two.calls}")


def figures(results: Results) -> dict[str, object]:
    found = results.found
    return {
        "stranger_day_share": {name: round(found[name].share, 3) for name in ("one", "many")},
        "closes_with_strangers": min(found[name].closes for name in ("one", "many")),
        "newcomer_age_ratio": round(found["newcomers"].ratio, 3),
        "small_user_turns": max(found["alone"].turns),
        "small_user_turns_busy": max(found["busy"].turns),
        "outage_day_cost": round(max(found[name].cost for name in ("lost", "lost_amid")), 3),
        "recovery_s": round(max(found[name].recovery.total_seconds() for name in ("refused", "refused_amid")), 1),
        "closes_missing": sum(seen.missing for name, seen in found.items() if name.startswith("closes_")),
        "free_key_used": round(found["week"].share, 3),
        "two_accounts_age_ratio": round(found["two"].ratio, 3),
        **fair_promises.figures(found),
        "over_limit_calls": results.over,
    }


def _end(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _end)  # Ctrl-C too: a shell starts what runs in its background deaf to it
    begun = time.monotonic()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="quotewell-bench-") as home,
            stores(Path(home), {"QUOTEWELL_ENV": "testing"}, throwaway=True) as urls,
            tempfile.TemporaryDirectory(prefix="quotewell-bench-logs-") as folder,
        ):
            results = measure(urls, Path(folder))
    except KeyboardInterrupt:
        return 130
    for show in (show_strangers, show_lists, show_outages, show_closes, show_keys, fair_promises.show):
        show(results.found)
    print(f"took {time.monotonic() - begun:.0f} s")
    print(json.dumps(figures(results)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
