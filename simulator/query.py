"""What each `function` answers, apart from limits and faults. Pure: a universe, the call's parameters and a time in, an answer out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from simulator.answers import Answer, refusal
from simulator.bodies import (
    artificial_quotes,
    best_matches,
    bulk_quotes,
    daily_series,
    global_quote,
    lettered_listing,
    listing,
)
from simulator.finding import find
from simulator.markets import market_status
from simulator.notices import NOTICES, notice
from simulator.prices import Bar, Quote, bars_at, closed_bars, closed_quote, quote_at
from simulator.universe import US, Security, Universe

COMPACT, FULL = 100, 500  # rows
BULK = 100  # symbols that one bulk call honours
PRICED = ("GLOBAL_QUOTE", "TIME_SERIES_DAILY")  # bulk quotes have a refusal of their own
ENTITLEMENTS = ("realtime", "delayed")
_DELAY = timedelta(minutes=15)

Params = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Provider:
    """What the pretended provider has and grants: `entitled` to premium functions, `unknown` as in Config.

    Who is entitled says which prices a call wants (`entitlement`), else they are those of the last finished day. Other keys get the
    running day without it, as the plans of old did, and are refused with it.
    """

    universe: Universe
    entitled: bool
    unknown: str


def answer(provider: Provider, params: Params, now: datetime) -> Answer:
    """Answer a call that broke no limit."""
    function, key = params.get("function", ""), params.get("apikey", "")
    if not key:
        return refusal("bad_key")
    if key == "demo":
        return refusal("demo_key")
    if function not in FUNCTIONS:
        return refusal("no_such_function", function=function)
    if function in PRICED and params.get("entitlement") in ENTITLEMENTS and not provider.entitled:
        return refusal("not_entitled")
    return FUNCTIONS[function](provider, params, now)


def over_limit(params: Params, name: str) -> Mapping[str, object] | str:
    """The body for a call over a limit. A function that speaks CSV only spells the notice's field over its columns."""
    if params.get("function") == "LISTING_STATUS":
        return lettered_listing(NOTICES[name][0])
    return notice(name, key=params.get("apikey", ""))


def _global_quote(provider: Provider, params: Params, now: datetime) -> Answer:
    if not params.get("symbol"):
        return refusal("bad_request", function="GLOBAL_QUOTE")
    security = _living(provider, params["symbol"])
    if security is None:
        return _unknown_quote(provider.unknown)
    delayed = params.get("entitlement") == "delayed"
    return Answer("ok", global_quote(security.symbol, _quote(provider, params, security, now), delayed=delayed))


def _quote(provider: Provider, params: Params, security: Security, now: datetime) -> Quote:
    at = _seen_at(provider, params, now)
    return closed_quote(security.walk, now) if at is None else quote_at(security.walk, at)


def _bars(provider: Provider, params: Params, security: Security, now: datetime, count: int) -> list[Bar]:
    at = _seen_at(provider, params, now)
    return closed_bars(security.walk, now, count) if at is None else bars_at(security.walk, at, count)


def _seen_at(provider: Provider, params: Params, now: datetime) -> datetime | None:
    """Until when a call sees the market; None: no further than the last finished day."""
    entitlement = params.get("entitlement")
    if entitlement == "delayed":
        return now - _DELAY
    return now if entitlement == "realtime" or not provider.entitled else None


def _unknown_quote(form: str) -> Answer:
    if form == "error_message":
        return Answer("no_data", notice("bad_request", function="GLOBAL_QUOTE"))
    return Answer("no_data", {"Global Quote": {}} if form == "empty_quote" else {})


def _time_series_daily(provider: Provider, params: Params, now: datetime) -> Answer:
    full = params.get("outputsize") == "full"
    if full and not provider.entitled:
        return refusal("not_entitled_full")
    security = _living(provider, params.get("symbol", ""))
    if security is None:
        return Answer("no_data", notice("bad_request", function="TIME_SERIES_DAILY"))
    bars = _bars(provider, params, security, now, FULL if full else COMPACT)
    return Answer("ok", daily_series(params["symbol"], bars, full=full))


def _symbol_search(provider: Provider, params: Params, now: datetime) -> Answer:
    if not params.get("keywords"):
        return refusal("bad_request", function="SYMBOL_SEARCH")
    matches = find(provider.universe, params["keywords"])
    return Answer("ok" if matches else "no_data", best_matches(matches, now))


def _realtime_bulk_quotes(provider: Provider, params: Params, now: datetime) -> Answer:
    if not provider.entitled:
        return Answer("notice:not_entitled", artificial_quotes())
    asked = [symbol for symbol in params.get("symbol", "").split(",") if symbol]
    if not asked:
        return refusal("bad_request", function="REALTIME_BULK_QUOTES")
    found = [security for symbol in asked[:BULK] if (security := _living(provider, symbol)) and security.region == US]
    quotes = [(security.symbol, _quote(provider, params, security, now)) for security in found]
    return Answer("ok" if quotes else "no_data", bulk_quotes(quotes, now))


def _listing_status(provider: Provider, params: Params, _: datetime) -> Answer:
    active = params.get("state", "active") == "active"
    return Answer("ok", listing(s for s in provider.universe.values() if active and s.region == US))


def _market_status(_: Provider, __: Params, now: datetime) -> Answer:
    return Answer("ok", market_status(now))


def _living(provider: Provider, symbol: str) -> Security | None:
    security = provider.universe.get(symbol.strip().upper())
    return None if security is None or security.dead else security


FUNCTIONS: Mapping[str, Callable[[Provider, Params, datetime], Answer]] = {
    "GLOBAL_QUOTE": _global_quote,
    "TIME_SERIES_DAILY": _time_series_daily,
    "SYMBOL_SEARCH": _symbol_search,
    "REALTIME_BULK_QUOTES": _realtime_bulk_quotes,
    "LISTING_STATUS": _listing_status,
    "MARKET_STATUS": _market_status,
}
