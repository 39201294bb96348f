"""The ledger's calls, and the queue of what waits for one."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, field

from common.operations.symbols import spell
from common.operations.types import ClassName, Time
from common.process.resources import Resources
from common.store.budget import ledger, reports
from common.store.connection.pool import acquire

MAX_CALLS = 500  # of one report
MAX_ROWS = 500


class CallRow(Struct, frozen=True):
    """One call. `took_s`: from grant to response; null while no outcome is known. `ends_at`: of the response, or of the lease.

    `outcome`: a word of the journal; null: in flight, or (past `ends_at`) never known. `caller`: the process that made it.
    """

    id: int
    function: str
    subjects: list[str]
    call_class: ClassName = field(name="class")
    granted_at: Time
    ends_at: Time
    took_s: float | None
    outcome: str | None
    caller: str


class CallsReport(Struct, frozen=True):
    """Newest first. `next`: the `before` that gives the older ones; null: there are none."""

    calls: list[CallRow]
    next: int | None


class LineRow(Struct, frozen=True):
    """One queued request. `rank` 1 goes first; `waited_s` since it was queued; `tries`: calls; `backing_off`: between two of them."""

    function: str
    subject: str
    call_class: ClassName = field(name="class")
    since: Time
    waited_s: float
    tries: int
    state: Literal["waiting", "backing_off", "under_way"]
    rank: int


class LineReport(Struct, frozen=True):
    """The first of the queue; `total`: how many are queued."""

    rows: list[LineRow]
    total: int


async def report_calls(
    resources: Resources,
    *,
    symbol: str | None = None,
    outcome: str | None = None,
    call_class: ClassName | None = None,
    before: int | None = None,
    most: int = 50,
) -> CallsReport:
    """The last calls, 1 to 500; `outcome`: a word of the journal, or `in_flight` for those without. Raise `InvalidSymbol`."""
    async with acquire(resources.db) as connection:
        if symbol is not None:
            (symbol,) = await spell(connection, resources.settings.source, [symbol])
        rows = await reports.select_calls(
            connection, symbol=symbol, outcome=outcome, call_class=call_class, before=before, most=most
        )
    return CallsReport([_call(row) for row in rows], rows[-1]["id"] if len(rows) == most else None)


async def report_line(resources: Resources, *, most: int = 50) -> LineReport:
    """The first 1 to 500, in the order in which they will be served."""
    async with acquire(resources.db) as connection:
        now = await ledger.select_now(connection)
        rows = await reports.select_line(connection, now, most=most)
        total = sum(await reports.select_line_counts(connection, now))
    return LineReport([_demand(row, now, rank) for rank, row in enumerate(rows, 1)], total)


def _call(row: Mapping[str, Any]) -> CallRow:
    took = None if row["outcome"] is None else (row["ends_at"] - row["granted_at"]).total_seconds()
    return CallRow(**_named(row), took_s=took)


def _demand(row: Mapping[str, Any], now: datetime, rank: int) -> LineRow:
    waited = max(0.0, (now - row["since"]).total_seconds())
    return LineRow(**_named(row), waited_s=waited, rank=rank)


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    """Under a name that is no keyword of Python."""
    return {"call_class" if name == "class" else name: value for name, value in row.items()}
