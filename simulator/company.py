"""OVERVIEW. Pure: a security and its bars in, JSON out.

What follows from prices agrees with them. Shares and earnings are made up, and the same at all times; of the rest the simulator knows
nothing and says so in the provider's own words: `None`, and `-` for a ratio.
"""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from simulator.bodies import Body
from simulator.noise import noise
from simulator.prices import Bar
from simulator.universe import Security

YEAR = 260  # bars, a few more than 52 weeks have
_CENT = Decimal("0.01")
_UNKNOWN = "None"
_NO_RATIO = "-"


def overview(security: Security, bars: Sequence[Bar]) -> Body:
    """`bars` are a year's, newest first."""
    price, shares, earnings = bars[0].close, _shares(security), _earnings(security)
    ratio = str((price / earnings).quantize(_CENT)) if earnings > 0 else _UNKNOWN
    return {
        "Symbol": security.symbol,
        "AssetType": "Common Stock",
        "Name": security.name,
        "Description": f"{security.name} is simulated: the name is real, the figures are made up.",
        "CIK": _UNKNOWN,
        "Exchange": security.exchange,
        "Currency": security.currency,
        "Country": "USA",
        **dict.fromkeys(("Sector", "Industry", "Address", "OfficialSite"), _UNKNOWN),
        **dict.fromkeys(("FiscalYearEnd", "LatestQuarter"), _UNKNOWN),
        "MarketCapitalization": str(int(price * shares)),
        "EBITDA": _UNKNOWN,
        "PERatio": ratio,
        **dict.fromkeys(("PEGRatio", "BookValue", "DividendPerShare", "DividendYield"), _UNKNOWN),
        "EPS": str(earnings),
        **dict.fromkeys(_ACCOUNTS, _UNKNOWN),
        "DilutedEPSTTM": str(earnings),
        **dict.fromkeys((*_GROWTH, *_ANALYSTS), _UNKNOWN),
        "TrailingPE": ratio if earnings > 0 else _NO_RATIO,
        **dict.fromkeys(_RATIOS, _NO_RATIO),
        "Beta": _UNKNOWN,
        **_from_prices(bars),
        "SharesOutstanding": str(shares),
        **dict.fromkeys(_HOLDERS, _UNKNOWN),
    }


_ACCOUNTS = (
    *("RevenuePerShareTTM", "ProfitMargin", "OperatingMarginTTM", "ReturnOnAssetsTTM", "ReturnOnEquityTTM"),
    *("RevenueTTM", "GrossProfitTTM"),
)
_GROWTH = ("QuarterlyEarningsGrowthYOY", "QuarterlyRevenueGrowthYOY")
_ANALYSTS = (
    "AnalystTargetPrice",
    *(f"AnalystRating{rating}" for rating in ("StrongBuy", "Buy", "Hold", "Sell", "StrongSell")),
)
_RATIOS = ("ForwardPE", "PriceToSalesRatioTTM", "PriceToBookRatio", "EVToRevenue", "EVToEBITDA")
_HOLDERS = ("SharesFloat", "PercentInsiders", "PercentInstitutions", "DividendDate", "ExDividendDate")


def _from_prices(bars: Sequence[Bar]) -> dict[str, str]:
    year = [bar for bar in bars if bar.day > bars[0].day - timedelta(weeks=52)]
    return {
        "52WeekHigh": str(max(bar.high for bar in year).quantize(_CENT)),
        "52WeekLow": str(min(bar.low for bar in year).quantize(_CENT)),
        "50DayMovingAverage": _average(bars[:50]),
        "200DayMovingAverage": _average(bars[:200]),
    }


def _average(bars: Sequence[Bar]) -> str:
    return str((sum((bar.close for bar in bars), Decimal()) / len(bars)).quantize(_CENT))


def _shares(security: Security) -> int:
    return int(10 ** (8.5 + noise(security.walk.key + 5, 0)))


def _earnings(security: Security) -> Decimal:
    """A year's, a share: from a small loss to a tenth of the typical price."""
    return Decimal(security.walk.base_price * (0.04 + 0.06 * noise(security.walk.key + 6, 0))).quantize(_CENT)
