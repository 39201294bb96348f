"""Which prices a key sees: of the running day, of fifteen minutes ago, or of the last finished day."""

from datetime import datetime, timedelta

import pytest

from simulator.answers.functions import FUNCTIONS
from tests.simulator.answers.calls import ENTITLED, NOW, body_of, outcome_of

PRICED = [*(name for name, function in FUNCTIONS.items() if function.priced), "REALTIME_BULK_QUOTES"]
LONGER = [name for name in PRICED if name.startswith(("TIME_SERIES_WEEKLY", "TIME_SERIES_MONTHLY"))]


@pytest.mark.parametrize("now", [NOW, NOW + timedelta(days=1), NOW + timedelta(hours=12)])
def test_without_an_entitlement_a_premium_key_sees_the_last_finished_day(now: datetime) -> None:
    quote = body_of(ENTITLED, now, function="GLOBAL_QUOTE", symbol="IBM")["Global Quote"]
    series = body_of(ENTITLED, now, function="TIME_SERIES_DAILY", symbol="IBM")["Time Series (Daily)"]
    [row] = body_of(ENTITLED, now, function="REALTIME_BULK_QUOTES", symbol="IBM")["data"]
    running = body_of(ENTITLED, now, function="TIME_SERIES_DAILY", symbol="IBM", entitlement="realtime")
    days = sorted(running["Time Series (Daily)"], reverse=True)

    assert (100, days[1:100]) == (len(series), sorted(series, reverse=True)[:99])
    assert ("2026-11-19", series[days[1]]["4. close"]) == (quote["07. latest trading day"], quote["05. price"])
    assert ("2026-11-19 16:00:00.000", quote["05. price"]) == (row["timestamp"], row["close"])
    assert quote["08. previous close"] == series[days[2]]["4. close"]


@pytest.mark.parametrize("function", ["GLOBAL_QUOTE", "TIME_SERIES_DAILY"])
def test_a_premium_key_with_its_entitlement_sees_what_other_keys_see_without_one(function: str) -> None:
    realtime = body_of(ENTITLED, function=function, symbol="IBM", entitlement="realtime")

    assert body_of(function=function, symbol="IBM") == realtime


@pytest.mark.parametrize("function", LONGER)
def test_without_an_entitlement_a_premium_key_sees_no_running_week_or_month(function: str) -> None:
    closed = body_of(ENTITLED, function=function, symbol="IBM")
    running = body_of(ENTITLED, function=function, symbol="IBM", entitlement="realtime")

    assert ("2026-11-19", "2026-11-20") == (
        closed["Meta Data"]["3. Last Refreshed"],
        running["Meta Data"]["3. Last Refreshed"],
    )


@pytest.mark.parametrize("function", PRICED)
@pytest.mark.parametrize("entitlement", ["realtime", "delayed"])
def test_no_function_with_prices_takes_an_entitlement_that_the_key_lacks(function: str, entitlement: str) -> None:
    assert "notice:not_entitled" == outcome_of(function=function, symbol="IBM", entitlement=entitlement)
