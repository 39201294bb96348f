"""Which functions a key may ask, and what those say that are neither quotes nor series."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from simulator.functions import EMPTY, INDEX, PREMIUM
from simulator.notices import NOTICES
from simulator.query import FUNCTIONS, PRICED, Provider, answer
from simulator.universe import load_universe

NOW = datetime(2026, 11, 20, 19, 14, 59, tzinfo=UTC)
UNIVERSE = load_universe(seed=1, dead=["DEAD"])
FREE = Provider(UNIVERSE, entitled=False, unknown="empty_quote")
ENTITLED = Provider(UNIVERSE, entitled=True, unknown="empty_quote")
LOSING = "AAL"  # by the seed
LISTS = ("top_gainers", "top_losers", "most_actively_traded")


def ask(provider: Provider = FREE, now: datetime = NOW, **params: str) -> Any:
    return answer(provider, {"apikey": "KEY", **params}, now).body


def outcome(provider: Provider = FREE, **params: str) -> str:
    return answer(provider, {"apikey": "KEY", **params}, NOW).outcome


@pytest.mark.parametrize("function", sorted(PREMIUM))
def test_a_premium_function_is_refused_as_one(function: str) -> None:
    field, text = NOTICES["not_entitled"]

    assert {field: text} == ask(function=function, symbol="IBM", interval="5min")
    assert "notice:not_entitled" == outcome(function=function)


def test_index_data_is_refused_in_words_of_its_own() -> None:
    assert "notice:not_entitled_yet" == outcome(function=INDEX, symbol="SPX")


@pytest.mark.parametrize("function", sorted({*PREMIUM, INDEX} - FUNCTIONS.keys()))
def test_an_entitled_key_gets_nothing_from_a_premium_function_that_is_not_simulated(function: str) -> None:
    assert ("no_data", {}) == (outcome(ENTITLED, function=function), ask(ENTITLED, function=function))


@pytest.mark.parametrize("function", sorted(EMPTY))
def test_a_free_function_that_is_not_simulated_exists_and_is_empty(function: str) -> None:
    assert ("no_data", {}) == (outcome(function=function, symbol="IBM"), ask(function=function, symbol="IBM"))


def test_each_function_has_one_answer() -> None:
    assert not EMPTY & (PREMIUM | FUNCTIONS.keys() | {INDEX})
    assert {"TIME_SERIES_DAILY_ADJUSTED"} == PREMIUM & FUNCTIONS.keys()


@pytest.mark.parametrize("function", ["time_series_daily", "TIME_SERIES_HOURLY", "BATCH_STOCK_QUOTES", "GLOBAL_QUOTE "])
def test_only_a_function_that_no_one_has_does_not_exist(function: str) -> None:
    assert {"Error Message": f"This API function ({function}) does not exist."} == ask(function=function)


@pytest.mark.parametrize("function", sorted(PRICED | {"REALTIME_BULK_QUOTES"}))
@pytest.mark.parametrize("entitlement", ["realtime", "delayed"])
def test_no_function_with_prices_takes_an_entitlement_that_the_key_lacks(function: str, entitlement: str) -> None:
    assert "notice:not_entitled" == outcome(function=function, symbol="IBM", entitlement=entitlement)


def test_the_overview_has_the_recorded_fields_in_their_order() -> None:
    body = ask(function="OVERVIEW", symbol="ibm")

    assert (
        "Symbol AssetType Name Description CIK Exchange Currency Country Sector Industry Address OfficialSite FiscalYearEnd "
        "LatestQuarter MarketCapitalization EBITDA PERatio PEGRatio BookValue DividendPerShare DividendYield EPS "
        "RevenuePerShareTTM ProfitMargin OperatingMarginTTM ReturnOnAssetsTTM ReturnOnEquityTTM RevenueTTM GrossProfitTTM "
        "DilutedEPSTTM QuarterlyEarningsGrowthYOY QuarterlyRevenueGrowthYOY AnalystTargetPrice AnalystRatingStrongBuy "
        "AnalystRatingBuy AnalystRatingHold AnalystRatingSell AnalystRatingStrongSell TrailingPE ForwardPE "
        "PriceToSalesRatioTTM PriceToBookRatio EVToRevenue EVToEBITDA Beta 52WeekHigh 52WeekLow 50DayMovingAverage "
        "200DayMovingAverage SharesOutstanding SharesFloat PercentInsiders PercentInstitutions DividendDate ExDividendDate"
    ) == " ".join(body)
    assert ("IBM", "Common Stock", "NYSE", "USD") == tuple(
        body[name] for name in ("Symbol", "AssetType", "Exchange", "Currency")
    )
    assert all(isinstance(value, str) and value for value in body.values())


def test_the_overview_agrees_with_the_quote_and_the_days() -> None:
    body = ask(function="OVERVIEW", symbol="AAPL")
    price = float(ask(function="GLOBAL_QUOTE", symbol="AAPL")["Global Quote"]["05. price"])
    days = ask(ENTITLED, function="TIME_SERIES_DAILY", symbol="AAPL", outputsize="full", entitlement="realtime")
    rows = days["Time Series (Daily)"]
    closes = [float(row["4. close"]) for row in rows.values()]
    year = [row for day, row in rows.items() if day > (NOW - timedelta(weeks=52)).date().isoformat()]

    assert float(body["52WeekHigh"]) == pytest.approx(max(float(row["2. high"]) for row in year), abs=0.0051)
    assert float(body["52WeekLow"]) == pytest.approx(min(float(row["3. low"]) for row in year), abs=0.0051)
    assert float(body["50DayMovingAverage"]) == pytest.approx(sum(closes[:50]) / 50, abs=0.0051)
    assert float(body["200DayMovingAverage"]) == pytest.approx(sum(closes[:200]) / 200, abs=0.0051)
    assert float(body["MarketCapitalization"]) == pytest.approx(price * float(body["SharesOutstanding"]), abs=1)
    assert float(body["PERatio"]) == pytest.approx(price / float(body["EPS"]), abs=0.0051)


def test_a_company_that_makes_a_loss_has_no_price_for_its_earnings() -> None:
    body = ask(function="OVERVIEW", symbol=LOSING)

    assert float(body["EPS"]) < 0
    assert ("None", "-") == (body["PERatio"], body["TrailingPE"])


@pytest.mark.parametrize("symbol", ["NOPE", "DEAD", "SPY", "TSCO.LON"])
def test_what_is_no_american_company_has_no_overview(symbol: str) -> None:
    assert ("no_data", {}) == (outcome(function="OVERVIEW", symbol=symbol), ask(function="OVERVIEW", symbol=symbol))


@pytest.mark.parametrize("function", ["OVERVIEW", "SPLITS", "DIVIDENDS"])
def test_a_call_without_its_symbol_is_invalid(function: str) -> None:
    assert "notice:bad_request" == outcome(function=function)


@pytest.mark.parametrize("function", ["SPLITS", "DIVIDENDS"])
def test_nothing_ever_split_or_paid(function: str) -> None:
    assert {"symbol": "IBM", "data": []} == ask(function=function, symbol="ibm")
    assert {} == ask(function=function, symbol="NOPE")
    assert 1 == ask(function=function, symbol="IBM", datatype="csv").count("\r\n")


@pytest.mark.parametrize(("provider", "updated"), [(FREE, "2026-11-20 14:14:59"), (ENTITLED, "2026-11-19 16:16:00")])
def test_the_movers_are_twenty_of_each_and_agree_with_their_quotes(provider: Provider, updated: str) -> None:
    body = ask(provider, function="TOP_GAINERS_LOSERS")
    rows = [row for name in LISTS for row in body[name]]

    assert ["metadata", "last_updated", *LISTS] == list(body)
    assert (f"{updated} US/Eastern", 60) == (body["last_updated"], len(rows))
    for row in rows:
        quote = ask(provider, function="GLOBAL_QUOTE", symbol=row["ticker"])["Global Quote"]
        assert (quote["06. volume"], updated[:10]) == (row["volume"], quote["07. latest trading day"])
        assert (float(quote["05. price"]), float(quote["09. change"])) == (
            float(row["price"]),
            float(row["change_amount"]),
        )
        assert float(quote["10. change percent"][:-1]) == float(row["change_percentage"][:-1])


def test_the_movers_are_those_of_the_whole_market() -> None:
    body = ask(function="TOP_GAINERS_LOSERS")
    symbols = [s.symbol for s in UNIVERSE.values() if s.region == "United States" and not s.dead]
    quotes = [ask(function="GLOBAL_QUOTE", symbol=symbol)["Global Quote"] for symbol in symbols]
    by_change = sorted(quotes, key=lambda quote: float(quote["10. change percent"][:-1]))
    by_volume = sorted(quotes, key=lambda quote: -int(quote["06. volume"]))

    assert [q["01. symbol"] for q in by_change[:20]] == [row["ticker"] for row in body["top_losers"]]
    assert [q["01. symbol"] for q in by_change[:-21:-1]] == [row["ticker"] for row in body["top_gainers"]]
    assert [q["01. symbol"] for q in by_volume[:20]] == [row["ticker"] for row in body["most_actively_traded"]]


def test_numbers_of_movers_have_no_zeros_at_their_ends() -> None:
    body = ask(function="TOP_GAINERS_LOSERS")
    texts = [row[name].rstrip("%") for kind in LISTS for row in body[kind] for name in list(row)[1:4]]

    assert all(text == str(float(text)) for text in texts)
