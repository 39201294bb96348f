import csv

import pytest

from simulator.answers.listing import delisted
from simulator.market.universe import US
from tests.simulator.answers.calls import UNIVERSE, answer_to, body_of

COLUMNS = ["symbol", "name", "exchange", "assetType", "ipoDate", "delistingDate", "status"]


def rows(**params: str) -> dict[str, dict[str, str]]:
    text = body_of(function="LISTING_STATUS", **params)
    assert text.startswith(",".join(COLUMNS) + "\r\n")
    return {row["symbol"]: row for row in csv.DictReader(text.splitlines())}


def test_the_listing_is_csv_of_all_us_symbols_dead_ones_included() -> None:
    text = body_of(function="LISTING_STATUS")
    listed = rows()

    assert text.count("\r\n") == len(listed) + 1
    assert listed.keys() == {s.symbol for s in UNIVERSE.values() if s.region == US}
    assert "DEAD" in listed


def test_the_delisted_have_a_date_and_are_not_in_the_active_listing() -> None:
    gone = rows(state="delisted")

    assert {"Delisted"} == {row["status"] for row in gone.values()}
    assert {"Stock", "ETF"} == {row["assetType"] for row in gone.values()}
    assert all(row["ipoDate"] < row["delistingDate"] < "2026-11-20" for row in gone.values())
    assert not gone.keys() & rows().keys()
    assert list(gone) == sorted(gone)


def test_a_delisted_symbol_has_no_quote() -> None:
    given = answer_to(function="GLOBAL_QUOTE", symbol="TWTR")

    assert ("no_data", {"Global Quote": {}}) == (given.outcome, given.body)


@pytest.mark.parametrize("state", ["active", "", "inactive", "Delisted"])
def test_an_unknown_state_is_active(state: str) -> None:
    assert rows() == rows(state=state)


@pytest.mark.parametrize(
    ("on", "symbol", "state"),
    [
        ("2022-11-07", "TWTR", "active"),
        ("2022-11-08", "TWTR", "delisted"),
        ("2013-11-07", "TWTR", "active"),
        ("2013-11-06", "TWTR", None),
        ("2014-07-10", "LEH", "delisted"),
    ],
)
def test_a_day_of_the_past_has_its_own_listing(on: str, symbol: str, state: str | None) -> None:
    found = {name for name in ("active", "delisted") if symbol in rows(state=name, date=on)}

    assert ({state} if state else set()) == found


def test_what_trades_now_traded_then() -> None:
    then = rows(date="2014-07-10")

    assert {s.symbol for s in UNIVERSE.values() if s.region == US} < set(then)
    assert {("null", "Active")} == {(row["delistingDate"], row["status"]) for row in then.values()}
    assert list(then) == sorted(then)


@pytest.mark.parametrize("on", ["2010-01-01", "1999-05-05", "2014-02-30", "yesterday"])
@pytest.mark.parametrize("state", ["active", "delisted"])
def test_a_date_that_the_provider_does_not_support_has_no_listing(state: str, on: str) -> None:
    assert {} == body_of(function="LISTING_STATUS", state=state, date=on)


def test_no_symbol_is_both_packaged_and_delisted() -> None:
    assert not UNIVERSE.keys() & {row.symbol for row in delisted()}
