"""`python -m bench.fair`: who gets a key's calls, among users, outages and attackers. Needs only this machine.

Prints a table, then one JSON object as the last line. bench/README.md says what each figure means and how long a scene takes.
"""

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import structlog

from bench.fair import closes, keys, lists, market, outage, promises, strangers
from bench.run import open_stores, run
from bench.stage import open_stage
from common.core.provider.outcomes import Outcome
from common.process.settings import Settings

FREE = {"ALPHA_VANTAGE_PLAN": "free", "MARKET_HOURS": "nyse"}
STANDARD = {"ALPHA_VANTAGE_PLAN": "standard", "MARKET_HOURS": "nyse"}
LONG_LISTS = STANDARD | {"MAX_WATCHLIST_SIZE": "1000"}
MAX_CONCURRENT = 2  # runs


@dataclass(frozen=True, slots=True)
class Run:
    """One figure's run on a database of its own."""

    name: str
    env: Mapping[str, str]
    measure: Callable[[Settings], Coroutine[Any, Any, Any]]


RUNS = (  # the longest first
    Run("many", FREE, partial(strangers.measure, networks=1_000)),
    Run("newcomers", STANDARD, lists.measure_newcomers),
    Run("one", FREE, partial(strangers.measure, networks=1)),
    Run("two", STANDARD, keys.measure_two),
    Run("week", FREE, keys.measure_week),
    Run("lost", FREE, partial(outage.measure, begins=outage.PROBED, outcome=Outcome.UNAVAILABLE)),
    Run("lost_amid", FREE, partial(outage.measure, begins=outage.SWEPT, outcome=Outcome.UNAVAILABLE)),
    Run("refused", FREE, partial(outage.measure, begins=outage.PROBED, outcome=Outcome.UNSENT)),
    Run("refused_amid", FREE, partial(outage.measure, begins=outage.SWEPT, outcome=Outcome.UNSENT)),
    Run("closes_outage", STANDARD, partial(closes.measure, trouble="outage")),
    Run("closes_hasty", STANDARD, partial(closes.measure, trouble="hasty")),
    Run("closes_failed", STANDARD, partial(closes.measure, trouble="failed")),
    Run("closes_free", FREE, partial(closes.measure, trouble="free")),
    Run("alone", LONG_LISTS, partial(lists.measure_small_users, busy=False)),
    Run("busy", LONG_LISTS, partial(lists.measure_small_users, busy=True)),
    *(Run(name, STANDARD, measure) for name, measure in promises.SESSIONS.items()),
    Run("promises_spent", FREE, promises.measure_spent_days),
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
    place, settings = work
    return RUNS[place].name, asyncio.run(RUNS[place].measure(settings))


def _begin_process() -> None:
    """Silence the product's logs; the parent ends this process."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def measure(urls: Mapping[str, str], folder: Path) -> Results:
    work = []
    for place, each in enumerate(RUNS):
        with open_stage(urls, folder, each.name, **each.env) as stage:
            work.append((place, stage.settings))
    with Pool(MAX_CONCURRENT, _begin_process) as pool:
        return Results(dict(pool.imap(carry_out, work)))


def show_strangers(found: Mapping[str, Any]) -> None:
    for name, who in (("one", "one network, each 2 s"), ("many", "1,000 networks, each second")):
        seen = found[name]
        print(
            f"strangers, {who}: {seen.share:.2f} of a day; {seen.closes} of {market.WATCHED} watched symbols have the"
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
            f" {[pause.total_seconds() for pause in lists.PAUSES]} s; of the import {seen.queued} were queued as a user's"
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
    print(f"of {market.WATCHED} watched symbols without Friday's close by midnight: {missing}")


def show_keys(found: Mapping[str, Any]) -> None:
    week, two = found["week"], found["two"]
    print(
        f"free key, {keys.WATCHED} symbols: calls in the windows {week.used}, {week.share:.3f} of all (with Saturday up to its 24 h:"
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
        **promises.figures(found),
        "over_limit_calls": results.over,
    }


def measure_all() -> dict[str, object]:
    begun = time.monotonic()
    with open_stores() as (urls, folder):
        results = measure(urls, folder)
    for show in (show_strangers, show_lists, show_outages, show_closes, show_keys, promises.show):
        show(results.found)
    print(f"took {time.monotonic() - begun:.0f} s")
    return figures(results)


if __name__ == "__main__":
    sys.exit(run(measure_all))
