"""Values that all packages share: quotes, bars, matches, functions, classes. Money is `Decimal`; the provider's JSON never gets here."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum


class Function(StrEnum):
    """The provider's functions, by its own names."""

    QUOTE = "GLOBAL_QUOTE"
    BULK = "REALTIME_BULK_QUOTES"
    SEARCH = "SYMBOL_SEARCH"
    DAILY = "TIME_SERIES_DAILY"
    LISTING = "LISTING_STATUS"


class CallClass(StrEnum):
    """Who a call is for: background (a newer quote, or a first one), a waiting user or stranger (no token), an operator."""

    REFRESH = "refresh"
    FIRST = "first"
    USER = "user"
    STRANGER = "stranger"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Price:
    """A symbol's price from the provider: amounts in the listing's currency, volume in shares, change_percent without `%`."""

    symbol: str
    price: Decimal
    trading_day: date
    change: Decimal | None = None
    change_percent: Decimal | None = None
    volume: int | None = None
    open: Decimal | None = None
    high: Decimal | None = None
    low: Decimal | None = None
    previous_close: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """A price with its source. `fetched_at`, the ledger's time of the response (aware, UTC), is its version."""

    price: Price
    source: str
    fetched_at: datetime

    @property
    def symbol(self) -> str:
        return self.price.symbol


@dataclass(frozen=True, slots=True)
class Bar:
    """One trading day; raw (as traded) prices, volume in shares or unknown."""

    day: date
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int | None


@dataclass(frozen=True, slots=True)
class Match:
    """One answer to a search; `score` from 0 to 1."""

    symbol: str
    name: str
    type: str
    region: str
    currency: str
    score: Decimal


@dataclass(frozen=True, slots=True)
class Listed:
    """One row of the provider's listing of US symbols."""

    symbol: str
    name: str
    exchange: str
    asset_type: str
    listed_on: date | None
