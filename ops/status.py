"""Is all well? One glance, and a sentence on stderr for each thing that is not, with what to do."""

import sys
from collections.abc import Iterator

from rich.text import Text

from common.operations.status import ProviderStatus, StatusReport, report_status
from ops.stores import ask
from ops.terminal import (
    AWAY,
    REFUSED,
    AsJson,
    Cell,
    open_console,
    print_json,
    print_pairs,
    span,
    tell,
    when,
    word,
)

SEEN = 20.0  # seconds: a worker that works, at the ticks of a beat that ticks, was seen since
START_BEAT = "start it with `celery -A scheduler.app beat -S celery.beat:Scheduler`"
START_BOTH = (
    "see that worker and beat run: `celery -A worker.app worker` and `celery -A scheduler.app beat -S celery.beat:Scheduler`, "
    "or all of it with `make run`"
)
REASONS = {  # why calls are held: what to do
    "operator": "`quotewell budget release` ends the hold",
    "clock_jump": "the database's clock jumped ahead; it ends by itself",
    "day_used_up": "the provider says that the day's quota is used up; it ends by itself",
    "retry_after": "the provider named the time; it ends by itself",
    "bad_key": "the key is refused; see ALPHA_VANTAGE_API_KEY",
    "provider_down": "one call tries now and then, and the first answer ends it; see `quotewell calls` for how the last ones ended",
}


REFRESHES = {  # why no quote is refreshed, in the words of a quote's reason
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
    report = ask(report_status)
    if as_json:
        print_json(report)
    else:
        print_pairs(open_console(), _lines(report))
    for told in troubles(report):
        tell(told)
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
    if not works(report):
        yield f"no worker was seen in the last {SEEN:g} s; {START_BOTH}"
    elif report.beat.state in ("late", "never"):
        yield f"beat does not tick; {START_BEAT}"
    yield from provider_trouble(report.provider)


def works(report: StatusReport) -> bool:
    """Whether a worker is at the line. One that nobody wakes is not seen either."""
    return any(worker.age_s <= SEEN for worker in report.workers)


def provider_trouble(provider: ProviderStatus) -> Iterator[str]:
    if provider.state == "held":
        todo = REASONS.get(provider.reason or "", "it ends by itself")
        yield f"no call goes before {when(provider.until)} ({provider.reason}); {todo}"
    if provider.state == "failing":
        todo = REASONS.get(provider.reason or "", "see `quotewell calls` for how the last ones ended")
        yield f"the provider fails ({provider.reason or 'the last calls brought nothing'}); {todo}"


def _lines(report: StatusReport) -> list[tuple[str, Cell]]:
    return [
        ("status", Text.assemble(word(report.status), f": Quotewell {report.version}, {report.environment}")),
        ("database", word(report.database)),
        ("Redis", word(report.redis)),
        ("workers", _workers(report)),
        ("beat", _beat(report)),
        ("provider", _provider(report)),
        ("refreshes", REFRESHES.get(report.reason or "", "go on") + (f" ({report.reason})" if report.reason else "")),
        ("prices", _ages(report)),
        ("symbols", f"{_count(report.wanted)} wanted, {_count(report.quarantined)} in quarantine"),
        ("line", f"{_count(report.waiting)} waiting, {_count(report.in_flight)} under way"),
    ]


def _workers(report: StatusReport) -> Cell:
    if not report.workers:
        return word("unknown" if report.database == "disconnected" else "never")
    latest = min(worker.age_s for worker in report.workers)
    return Text.assemble(
        word("ok" if works(report) else "late"), f", {len(report.workers)} seen, the last {span(latest)} ago"
    )


def _beat(report: StatusReport) -> Cell:
    ticked = f", ticked {span(report.beat.age_s)} ago" if report.beat.age_s is not None else ""
    return Text.assemble(word(report.beat.state), ticked)


def _provider(report: StatusReport) -> Cell:
    provider = report.provider
    why = f" ({provider.reason}) until {when(provider.until)}" if provider.until else ""
    last = f", last good answer at {when(provider.last_ok_at)}" if provider.last_ok_at else ""
    return Text.assemble(word(provider.state), why, last, f", {report.source} prices")


def _ages(report: StatusReport) -> str:
    if report.mean_age_s is None:
        return "-"
    told = f"{span(report.mean_age_s)} old as they are read"
    if report.bound_s is None or report.age_ratio is None:
        return told
    return f"{told}, {report.age_ratio:.2f} times the least possible {span(report.bound_s)}"


def _count(number: int | None) -> str:
    return "-" if number is None else str(number)
