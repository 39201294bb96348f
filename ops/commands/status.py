"""Is all well? One glance, and a sentence on stderr for each thing that is not, with what to do."""

import sys
from collections.abc import Iterator

from rich.text import Text

from common.operations.status import ProviderStatus, StatusReport, report_status
from common.operations.symbols import SymbolsReport
from ops.arguments import AsJson
from ops.render import AWAY, REFUSED, Block, Cell, pairs, render, span, warn, when, word
from ops.stores import call

MAX_HEARTBEAT_AGE = 20.0  # seconds: a worker that works, at the ticks of a beat that ticks, was seen since
START_BEAT = "start it with `celery -A scheduler.app beat -S celery.beat:Scheduler`"
START_BOTH = (
    "see that worker and beat run: `celery -A worker.app worker` and `celery -A scheduler.app beat -S celery.beat:Scheduler`, "
    "or all of it with `make run`"
)
NO_WORKER = f"no worker was seen in the last {MAX_HEARTBEAT_AGE:g} s; {START_BOTH}"
REMEDIES = {  # by the reason for which calls are held
    "operator": "`quotewell budget release` ends the hold",
    "clock_jump": "the database's clock jumped ahead; it ends by itself",
    "day_used_up": "the provider says that the day's quota is used up; it ends by itself",
    "retry_after": "the provider named the time; it ends by itself",
    "bad_key": "the key is refused; see ALPHA_VANTAGE_API_KEY",
    "provider_down": "one call tries now and then, and the first answer ends it; see `quotewell calls` for how the last ones ended",
}
REFRESHES = {  # by the reason for which no quote is refreshed, as a quote tells it
    "store_down": "rest: PostgreSQL does not answer",
    "key_refused": "rest: the provider refuses the key",
    "provider_down": "rest: the provider does not answer",
    "held": "rest: calls are on hold",
    "quota_spent": "rest: the day's calls are spent",
    "market_closed": "rest but for what is still lacking: the market is closed",
}


def status(as_json: AsJson = False) -> None:
    """Are quotes fresh, and does everything run?

    Exits with 0 if all is well, else with 1, or with 3 if a store is away.
    """
    report = render(call(report_status), _show, as_json=as_json)
    for sentence in troubles(report):
        warn(sentence)
    if "disconnected" in (report.database, report.redis):
        sys.exit(AWAY)
    if report.status != "healthy":
        sys.exit(REFUSED)


def troubles(report: StatusReport) -> Iterator[str]:
    """A sentence for each thing that is not well, with what to do."""
    if report.database == "disconnected":
        yield "the database does not answer; see that it runs, and that DATABASE_URL leads to it"
    if report.redis == "disconnected":
        yield "Redis does not answer: no worker is woken; see that it runs, and that REDIS_URL leads to it"
    if "disconnected" in (report.database, report.redis):
        return
    if not has_worker(report):
        yield NO_WORKER
    elif report.beat.state in ("late", "never"):
        yield f"beat does not tick; {START_BEAT}"
    yield from provider_trouble(report.provider)


def has_worker(report: StatusReport) -> bool:
    """Whether a worker works the queue. One that nobody wakes is not seen either."""
    return any(worker.age_s <= MAX_HEARTBEAT_AGE for worker in report.workers)


def provider_trouble(provider: ProviderStatus) -> Iterator[str]:
    if provider.state == "held":
        remedy = REMEDIES.get(provider.reason or "", "it ends by itself")
        yield f"no call goes before {when(provider.until)} ({provider.reason}); {remedy}"
    if provider.state == "failing":
        remedy = REMEDIES.get(provider.reason or "", "see `quotewell calls` for how the last ones ended")
        yield f"the provider fails ({provider.reason or 'the last calls brought nothing'}); {remedy}"


def compare_ages(report: StatusReport | SymbolsReport) -> str:
    """The mean age beside the least that the budget allows, to follow the mean; empty where there is none."""
    if report.bound_s is None or report.age_ratio is None:
        return ""
    return f", {report.age_ratio:.2f} times the least possible {span(report.bound_s)}"


def _show(report: StatusReport) -> Iterator[Block]:
    yield pairs(_lines(report))


def _lines(report: StatusReport) -> Iterator[tuple[str, Cell]]:
    reason = f" ({report.reason})" if report.reason else ""
    yield "status", Text.assemble(word(report.status), f": Quotewell {report.version}, {report.environment}")
    yield "database", word(report.database)
    yield "Redis", word(report.redis)
    yield "workers", _workers(report)
    yield "beat", _beat(report)
    yield "provider", _provider(report)
    yield "refreshes", REFRESHES.get(report.reason or "", "go on") + reason
    mean = report.mean_age_s
    yield "prices", "-" if mean is None else f"{span(mean)} old as they are read{compare_ages(report)}"
    yield "symbols", f"{_count(report.wanted)} wanted, {_count(report.quarantined)} in quarantine"
    yield "line", f"{_count(report.waiting)} waiting, {_count(report.in_flight)} under way"


def _workers(report: StatusReport) -> Cell:
    if not report.workers:
        return word("unknown" if report.database == "disconnected" else "never")
    latest = min(worker.age_s for worker in report.workers)
    state = word("ok" if has_worker(report) else "late")
    return Text.assemble(state, f", {len(report.workers)} seen, the last {span(latest)} ago")


def _beat(report: StatusReport) -> Cell:
    ticked = f", ticked {span(report.beat.age_s)} ago" if report.beat.age_s is not None else ""
    return Text.assemble(word(report.beat.state), ticked)


def _provider(report: StatusReport) -> Cell:
    provider = report.provider
    why = f" ({provider.reason}) until {when(provider.until)}" if provider.until else ""
    last = f", last good answer at {when(provider.last_ok_at)}" if provider.last_ok_at else ""
    return Text.assemble(word(provider.state), why, last, f", {report.source} prices")


def _count(number: int | None) -> str:
    return "-" if number is None else str(number)
