"""What a database of the release before holds goes over: after the migration the next calls are those that would have come before it."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from common.core.limits import LEASE
from common.market_calendar import nyse
from db.applied import MIGRATIONS
from db.migrate import migrate
from tests.harness.database import named

WANTED, NEXT = 1000, 25
NOW, RESTS_UNTIL = datetime(2026, 11, 23, 16, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
CALENDAR = nyse(2027)
INSERT = """
INSERT INTO symbols (symbol, watchers, account, attempted_at, attempted_clock, quoted, failures, quarantined_until)
VALUES (%s, %s, 'a', %s, %s, true, %s, %s)
"""
GRANT = """
SELECT subjects FROM grant_call('a', 'alphavantage', 'test', '{100000}', '{1 min}', %s, '{}', '{}', '{}', '{}', '1 ms', %s, %s, '1 day', 1)
"""


@pytest.fixture
def before(store_urls: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """The URL of a database as the release before left it."""
    for path in MIGRATIONS.glob("*.sql"):
        if path.name < "0014":
            shutil.copy(path, tmp_path)
    with psycopg.connect(store_urls["DATABASE_URL"], autocommit=True) as server:
        server.execute("DROP DATABASE IF EXISTS carry_over WITH (FORCE)")
        server.execute("CREATE DATABASE carry_over TEMPLATE template1")
    url = named(store_urls["DATABASE_URL"], "carry_over")
    migrate(url, migrations=tmp_path)
    yield url
    with psycopg.connect(store_urls["DATABASE_URL"], autocommit=True) as server:
        server.execute("DROP DATABASE carry_over WITH (FORCE)")


def fill(url: str, rows: list[tuple[str, int, float, int]]) -> None:
    """Symbols with watchers, the clock of their last attempt, and failures; each has a quote."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.executemany(
            INSERT,
            [(row[0], row[1], NOW, row[2], row[3], RESTS_UNTIL if row[3] else None) for row in rows],
        )
        cursor.execute(
            """
            INSERT INTO quotes (symbol, source, price, trading_day, fetched_at)
            SELECT symbol, 'alphavantage', 1, '2026-11-20', %s FROM symbols
            """,
            [NOW],
        )


def next_calls(url: str, clock: float, power: int) -> list[str]:
    with psycopg.connect(url, autocommit=True) as connection:
        found: list[str] = []
        for _ in range(NEXT):
            row = connection.execute(GRANT, [LEASE, clock, power]).fetchone()
            assert row is not None
            found += row[0] or []
            connection.execute("SELECT pg_sleep(0.002)")
        return found


def test_in_a_session_the_ages_go_over(before: str) -> None:
    """Symbols of equal weight share a level; between levels weight and age decide as before."""
    now = CALENDAR.clock(NOW)
    rows = [(f"S{n:04}", (1, 8, 64)[n % 3], now - 5 * (n * 7919 % 1009) - 1, 0) for n in range(WANTED)]
    fill(before, rows)
    due = sorted(rows, key=lambda row: -row[1] * (now - row[2]) ** 2)

    migrate(before)

    assert [row[0] for row in due[:NEXT]] == next_calls(before, now, 2)


def test_with_end_of_day_prices_what_has_the_close_is_not_asked_for_again(before: str) -> None:
    """A free key's clock counted sessions; a half day lies between the two."""
    newest = CALENDAR.sessions_until(datetime(2026, 11, 27, tzinfo=UTC).date())
    has = [(f"S{n:04}", 1, float(newest), 0) for n in range(WANTED - NEXT)]
    lacks = [(f"L{n:04}", 10 + n, float(newest - 1), 0) for n in range(NEXT)]
    fill(before, has + lacks)

    migrate(before)

    expected = [row[0] for row in sorted(lacks, key=lambda row: -row[1])]
    assert sorted(expected) == sorted(next_calls(before, CALENDAR.clock_at_close(newest), 1))


def test_quarantines_go_over(before: str) -> None:
    fill(before, [("DEAD", 1, 0.0, 3), ("LIVE", 1, 0.0, 0)])

    migrate(before)

    with psycopg.connect(before) as connection:
        assert [("DEAD", "a", 3, RESTS_UNTIL)] == connection.execute(
            "SELECT symbol, account, failures, quarantined_until FROM attempts"
        ).fetchall()
    assert ["LIVE"] == next_calls(before, 1e6, 2)


def test_the_clock_of_each_session_goes_over_exactly(before: str) -> None:
    """To the second, half days included, or all of a free key's symbols were due at once or never."""
    sessions = range(1, len(CALENDAR.sessions) - 30, 7)
    fill(before, [(f"S{n:04}", 1, float(n), 0) for n in sessions])

    migrate(before)

    with psycopg.connect(before) as connection:
        clocks: dict[str, float] = dict(connection.execute("SELECT symbol, clock FROM symbols").fetchall())
    assert {f"S{n:04}": CALENDAR.clock_at_close(n) for n in sessions} == clocks
