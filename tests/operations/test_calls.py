"""The journal page by page, and the line in the order of the grant."""

from datetime import timedelta

import pytest

from common.calls import work
from common.core.limits import LEASE
from common.core.models import CallClass, Function
from common.errors import InvalidSymbol
from common.operations.calls import CallsReport, report_calls, report_line
from common.process.resources import Resources
from common.store.budget.queue import enqueue
from common.store.connection.pool import acquire
from tests.operations.conftest import break_provider, serve, take
from tests.store.conftest import Clock

STAY = timedelta(hours=1)


async def want(process: Resources, subject: str, call_class: CallClass, function: Function = Function.QUOTE) -> None:
    async with acquire(process.db) as connection:
        await enqueue(connection, process.budget, function, [subject], call_class, ttl=STAY)


def subjects(report: CallsReport) -> list[str]:
    return [call.subjects[0] for call in report.calls]


async def make_calls(process: Resources, clock: Clock) -> None:
    """IBM ok, NOSUCH no_data, a chart of IBM ok, MSFT under way; the first two are a person's."""
    for subject, call_class, function in (
        ("IBM", CallClass.USER, Function.QUOTE),
        ("NOSUCH", CallClass.USER, Function.QUOTE),
        ("IBM", CallClass.OPERATOR, Function.DAILY),
    ):
        await want(process, subject, call_class, function)
        await serve(process)
        clock.pass_(1)
    await want(process, "MSFT", CallClass.REFRESH)
    await take(process)


async def test_calls_are_told_newest_first(process: Resources, clock: Clock) -> None:
    await make_calls(process, clock)
    report = await report_calls(process)

    assert [
        ("GLOBAL_QUOTE", ["MSFT"], "refresh", None, None),
        ("TIME_SERIES_DAILY", ["IBM"], "operator", "ok", 0.0),
        ("GLOBAL_QUOTE", ["NOSUCH"], "user", "no_data", 0.0),
        ("GLOBAL_QUOTE", ["IBM"], "user", "ok", 0.0),
    ] == [(call.function, call.subjects, call.call_class, call.outcome, call.took_s) for call in report.calls]
    assert {process.budget.process} == {call.caller for call in report.calls}
    assert LEASE == report.calls[0].ends_at - report.calls[0].granted_at
    assert report.next is None


async def test_a_call_took_from_its_grant_to_its_response(process: Resources, clock: Clock) -> None:
    await want(process, "IBM", CallClass.OPERATOR)
    permit = await take(process)
    clock.pass_(0.25)
    permit.asked -= 1  # by the process's own clock it took no less
    await work.carry_out(process, permit)

    assert 0.25 == (await report_calls(process)).calls[0].took_s


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"symbol": "ibm"}, ["IBM", "IBM"]),
        ({"symbol": "ibm", "call_class": "operator"}, ["IBM"]),
        ({"call_class": "user"}, ["NOSUCH", "IBM"]),
        ({"call_class": "trial"}, []),
        ({"outcome": "ok"}, ["IBM", "IBM"]),
        ({"outcome": "in_flight"}, ["MSFT"]),
        ({"outcome": "bad_key"}, []),
    ],
)
async def test_calls_are_filtered(process: Resources, clock: Clock, filters: dict[str, str], found: list[str]) -> None:
    await make_calls(process, clock)

    assert found == subjects(await report_calls(process, **filters))  # type: ignore[arg-type]


async def test_the_journal_is_read_page_by_page(process: Resources, clock: Clock) -> None:
    await make_calls(process, clock)
    first = await report_calls(process, most=3)
    rest = await report_calls(process, most=3, before=first.next)

    assert (["MSFT", "IBM", "NOSUCH"], ["IBM"], None) == (subjects(first), subjects(rest), rest.next)


async def test_what_cannot_be_a_symbol_finds_no_call_but_a_refusal(process: Resources) -> None:
    with pytest.raises(InvalidSymbol):
        await report_calls(process, symbol="A B")


async def test_the_line_is_told_in_the_order_of_the_grant(process: Resources, clock: Clock) -> None:
    await want(process, "C", CallClass.OPERATOR)
    clock.pass_(1)
    await want(process, "B", CallClass.OPERATOR)
    await want(process, "A", CallClass.USER, Function.DAILY)
    clock.pass_(2)
    report = await report_line(process)

    assert [
        (1, "TIME_SERIES_DAILY", "A", "user", 2.0, 0, "waiting"),
        (2, "GLOBAL_QUOTE", "C", "operator", 3.0, 0, "waiting"),
        (3, "GLOBAL_QUOTE", "B", "operator", 2.0, 0, "waiting"),
    ] == [
        (row.rank, row.function, row.subject, row.call_class, row.waited_s, row.tries, row.state) for row in report.rows
    ]
    assert 3 == report.total
    assert ["A"] == [row.subject for row in (await report_line(process, most=1)).rows]


async def test_a_row_is_under_way_then_backs_off_then_waits_again(process: Resources, clock: Clock) -> None:
    await break_provider(process, "http_503")
    await want(process, "IBM", CallClass.OPERATOR)
    permit, seen = await take(process), []
    seen += [(row.state, row.tries) for row in (await report_line(process)).rows]
    await work.carry_out(process, permit)
    seen += [(row.state, row.tries) for row in (await report_line(process)).rows]
    clock.pass_(3)
    seen += [(row.state, row.tries) for row in (await report_line(process)).rows]

    assert [("under_way", 1), ("backing_off", 1), ("waiting", 1)] == seen


async def test_a_row_whose_time_is_over_is_not_told(process: Resources, clock: Clock) -> None:
    await want(process, "IBM", CallClass.OPERATOR)
    clock.pass_(STAY)
    report = await report_line(process)

    assert ([], 0) == (report.rows, report.total)
