from datetime import timedelta

import pytest

from tests.simulator.answers.calls import ENTITLED, NOW, body_of, outcome_of

LOSING = "AAL"  # by the seed


def test_the_overview_has_the_recorded_fields_in_their_order() -> None:
    body = body_of(function="OVERVIEW", symbol="ibm")

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
    body = body_of(function="OVERVIEW", symbol="AAPL")
    price = float(body_of(function="GLOBAL_QUOTE", symbol="AAPL")["Global Quote"]["05. price"])
    days = body_of(ENTITLED, function="TIME_SERIES_DAILY", symbol="AAPL", outputsize="full", entitlement="realtime")
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
    body = body_of(function="OVERVIEW", symbol=LOSING)

    assert float(body["EPS"]) < 0
    assert ("None", "-") == (body["PERatio"], body["TrailingPE"])


@pytest.mark.parametrize("symbol", ["NOPE", "DEAD", "SPY", "TSCO.LON"])
def test_what_is_no_american_company_has_no_overview(symbol: str) -> None:
    assert ("no_data", {}) == (
        outcome_of(function="OVERVIEW", symbol=symbol),
        body_of(function="OVERVIEW", symbol=symbol),
    )
