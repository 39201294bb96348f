"""How reports read: durations, times, and tables in terminals of any width."""

import io
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from rich.console import Console

from ops.render import Column, span, table, when, word

COLUMNS = (Column("symbol"), Column("price", spare=1, right=True), Column("trouble"), Column("call", spare=2))


class Row(NamedTuple):
    symbol: str = "AAPL"
    price: str = "237.50"
    trouble: str = "failed 3x, rests until 21:30:00 UTC"
    call: int = 1234


def shown(width: int) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=True, color_system=None, markup=False)
    console.print(table(COLUMNS, [Row()], console))
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("seconds", "read"),
    [
        (None, "-"),
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1.0 min"),
        (204, "3.4 min"),
        (3599, "1.0 h"),
        (172_800, "2.0 d"),
    ],
)
def test_a_duration_reads_as_people_say_it(seconds: float | None, read: str) -> None:
    assert read == span(seconds)


def test_a_time_is_local_and_names_its_zone_and_another_day() -> None:
    now = datetime.now(UTC)
    local, long_ago = now.astimezone(), now - timedelta(days=40)

    assert f"{local:%H:%M:%S %Z}" == when(now)
    assert f"{long_ago.astimezone():%Y-%m-%d %H:%M %Z}" == when(long_ago)
    assert "-" == when(None)


def test_a_wide_table_shows_every_column() -> None:
    assert ["symbol", "price", "trouble", "call"] == shown(100)[0].split()


def test_a_narrow_table_leaves_out_what_it_can_spare_first() -> None:
    assert ["symbol", "price", "trouble"] == shown(56)[0].split()
    assert ["symbol", "trouble"] == shown(50)[0].split()


def test_the_narrowest_table_cuts_and_does_not_wrap() -> None:
    lines = shown(24)

    assert 3 == len(lines)
    assert lines[2].startswith("AAPL")
    assert lines[2].endswith("…")


def test_a_word_has_the_colour_of_what_it_means() -> None:
    assert ["green", "yellow", "red", ""] == [str(word(text).style) for text in ("ok", "late", "problem", "AAPL")]
