"""OVERVIEW.

What follows from prices agrees with them. Shares and earnings are invented and never change. The simulator knows nothing else, and says
so in the provider's own words: `None`, and `-` for a ratio.
"""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from simulator.answers.answer import Answer
from simulator.answers.query import Query
from simulator.market.bars import Bar
from simulator.market.noise import noise
from simulator.market.universe import US, Security

_YEAR_BARS = 260  # a few more than 52 weeks have
_CENT = Decimal("0.01")
_IN_ORDER = """
    Symbol AssetType Name Description CIK Exchange Currency Country Sector Industry Address OfficialSite FiscalYearEnd LatestQuarter
    MarketCapitalization EBITDA PERatio PEGRatio BookValue DividendPerShare DividendYield EPS RevenuePerShareTTM ProfitMargin
    OperatingMarginTTM ReturnOnAssetsTTM ReturnOnEquityTTM RevenueTTM GrossProfitTTM DilutedEPSTTM QuarterlyEarningsGrowthYOY
    QuarterlyRevenueGrowthYOY AnalystTargetPrice AnalystRatingStrongBuy AnalystRatingBuy AnalystRatingHold AnalystRatingSell
    AnalystRatingStrongSell TrailingPE ForwardPE PriceToSalesRatioTTM PriceToBookRatio EVToRevenue EVToEBITDA Beta 52WeekHigh 52WeekLow
    50DayMovingAverage 200DayMovingAverage SharesOutstanding SharesFloat PercentInsiders PercentInstitutions DividendDate ExDividendDate
"""
_FIELDS = tuple(_IN_ORDER.split())
_RATIOS = ("TrailingPE", "ForwardPE", "PriceToSalesRatioTTM", "PriceToBookRatio", "EVToRevenue", "EVToEBITDA")


def overview(query: Query) -> Answer:
    """Funds and foreign shares have none."""
    if not query.symbol:
        return query.invalid()
    security = query.security()
    if security is None or security.region != US or security.kind != "Stock":
        return Answer("no_data", {})
    bars = query.bars(security, _YEAR_BARS)
    unknown = dict.fromkeys(_FIELDS, "None") | dict.fromkeys(_RATIOS, "-")
    known = _from_listing(security) | _from_prices(bars) | _from_accounts(security, bars[0].close)
    return Answer("ok", unknown | known)


def _from_listing(security: Security) -> dict[str, str]:
    return {
        "Symbol": security.symbol,
        "AssetType": "Common Stock",
        "Name": security.name,
        "Description": f"{security.name} is simulated: the name is real, the figures are made up.",
        "Exchange": security.exchange,
        "Currency": security.currency,
        "Country": "USA",
    }


def _from_prices(bars: Sequence[Bar]) -> dict[str, str]:
    year = [bar for bar in bars if bar.day > bars[0].day - timedelta(weeks=52)]
    return {
        "52WeekHigh": _cents(max(bar.high for bar in year)),
        "52WeekLow": _cents(min(bar.low for bar in year)),
        "50DayMovingAverage": _average(bars[:50]),
        "200DayMovingAverage": _average(bars[:200]),
    }


def _from_accounts(security: Security, price: Decimal) -> dict[str, str]:
    """Earnings are those of a year, a share: from a small loss to a tenth of the typical price."""
    key, base_price = security.walk.key, security.walk.base_price
    shares = int(10 ** (8.5 + noise(key + 5, 0)))
    earnings = Decimal(base_price * (0.04 + 0.06 * noise(key + 6, 0))).quantize(_CENT)
    ratio = _cents(price / earnings) if earnings > 0 else None
    return {
        "MarketCapitalization": str(int(price * shares)),
        "SharesOutstanding": str(shares),
        **dict.fromkeys(("EPS", "DilutedEPSTTM"), str(earnings)),
        **(dict.fromkeys(("PERatio", "TrailingPE"), ratio) if ratio else {}),
    }


def _average(bars: Sequence[Bar]) -> str:
    return _cents(sum((bar.close for bar in bars), Decimal()) / len(bars))


def _cents(value: Decimal) -> str:
    return str(value.quantize(_CENT))
