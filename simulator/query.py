"""What each `function` answers, apart from limits and faults. Pure: a universe, the call's parameters and a time in, an answer out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from simulator.answers import Answer, refusal
from simulator.bodies import artificial_quotes, best_matches, bulk_quotes, global_quote, no_events
from simulator.company import YEAR, overview
from simulator.finding import find
from simulator.functions import EMPTY, INDEX, PREMIUM
from simulator.listings import SINCE, active_listing, delisted_listing, lettered_listing
from simulator.markets import market_status
from simulator.movers import top_gainers_losers
from simulator.notices import NOTICES, notice
from simulator.prices import Bar, Quote, bars_at, closed_bars, closed_move, closed_quote, move_at, quote_at
from simulator.series import SERIES, time_series
from simulator.sessions import NEW_YORK
from simulator.tables import table_of
from simulator.universe import US, Security, Universe

COMPACT, FULL = 100, 500  # rows; the provider's full series, weeks and months go back twenty years
BULK = 100  # symbols that one bulk call honours
PRICED = frozenset({"GLOBAL_QUOTE", "TOP_GAINERS_LOSERS", *SERIES})  # bulk quotes have a refusal of their own
LONG = frozenset({"OVERVIEW", "TOP_GAINERS_LOSERS", *(name for name, series in SERIES.items() if not series.daily)})
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
    if not provider.entitled and (refused := _refused(function, params)):
        return refused
    if function in FUNCTIONS:
        return _in_form(params, FUNCTIONS[function](provider, params, now))
    if function in EMPTY or function in PREMIUM or function == INDEX:
        return Answer("no_data", {})
    return refusal("no_such_function", function=function)


def _refused(function: str, params: Params) -> Answer | None:
    """What a key without the right hears of a premium function or of an entitlement."""
    if function == INDEX:
        return refusal("not_entitled_yet")
    asks_for_more = function in PRICED and params.get("entitlement") in ENTITLEMENTS
    return refusal("not_entitled") if function in PREMIUM or asks_for_more else None


def _in_form(params: Params, given: Answer) -> Answer:
    """As CSV, if the call wants it and the answer has a table: refusals are JSON all the same, and so is any other `datatype`."""
    if params.get("datatype") != "csv" or isinstance(given.body, str):
        return given
    table = table_of(params["function"], given.body)
    return given if table is None else replace(given, body=table)


def takes_long(params: Params) -> bool:
    """Whether the answer draws years of days, or looks at every stock: a second, if nothing is cached."""
    return params.get("function") in LONG or params.get("outputsize") == "full"


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
    body = global_quote(security.symbol, _quote(provider, params, security, now), delayed=delayed)
    return Answer("ok", body, file=f"global_quote_{security.symbol}")


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


def _time_series(provider: Provider, params: Params, now: datetime) -> Answer:
    series = SERIES[params["function"]]
    full = params.get("outputsize") == "full"
    if series.daily and full and not provider.entitled:
        return refusal("not_entitled_full")
    security = _living(provider, params.get("symbol", ""))
    if security is None:
        return _no_such_symbol(params)
    bars = _bars(provider, params, security, now, COMPACT if series.daily and not full else FULL)
    body = time_series(series, params["symbol"], bars, full=full)
    return Answer("ok", body, file=f"{series.file}_{security.symbol}")


def _no_such_symbol(params: Params) -> Answer:
    return Answer("no_data", notice("bad_request", function=params["function"]))


def _events(provider: Provider, params: Params, _: datetime) -> Answer:
    """SPLITS and DIVIDENDS."""
    function = params["function"]
    security = _living(provider, params.get("symbol", ""))
    if security is None:
        return Answer("no_data", {}) if params.get("symbol") else refusal("bad_request", function=function)
    return Answer("ok", no_events(security.symbol), file=f"{function.lower()}_{security.symbol}")


def _overview(provider: Provider, params: Params, now: datetime) -> Answer:
    """Funds and foreign shares have none."""
    security = _living(provider, params.get("symbol", ""))
    if not params.get("symbol"):
        return refusal("bad_request", function="OVERVIEW")
    if security is None or security.region != US or security.kind != "Stock":
        return Answer("no_data", {})
    return Answer("ok", overview(security, _bars(provider, params, security, now, YEAR)))


def _top_gainers_losers(provider: Provider, params: Params, now: datetime) -> Answer:
    at = _seen_at(provider, params, now)
    living = [s for s in provider.universe.values() if s.region == US and not s.dead]
    if at is None:
        moves = [(s.symbol, closed_move(s.walk, now)) for s in living]
        updated = f"{moves[0][1].day} 16:16:00"
    else:
        moves = [(s.symbol, move_at(s.walk, at)) for s in living]
        updated = f"{at.astimezone(NEW_YORK):%Y-%m-%d %H:%M:%S}"
    return Answer("ok", top_gainers_losers(moves, updated))


def _symbol_search(provider: Provider, params: Params, now: datetime) -> Answer:
    if not params.get("keywords"):
        return refusal("bad_request", function="SYMBOL_SEARCH")
    matches = find(provider.universe, params["keywords"])
    return Answer("ok" if matches else "no_data", best_matches(matches, now), file="symbol_search")


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
    """A `state` that is unknown is `active`, as the provider has it. What it says of a wrong date is not recorded: `{}` here."""
    on = _date(params.get("date", ""))
    if params.get("date") and (on is None or on <= SINCE):
        return Answer("no_data", {})
    if params.get("state") == "delisted":
        return Answer("ok", delisted_listing(on))
    return Answer("ok", active_listing((s for s in provider.universe.values() if s.region == US), on))


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _market_status(_: Provider, __: Params, now: datetime) -> Answer:
    return Answer("ok", market_status(now))


def _living(provider: Provider, symbol: str) -> Security | None:
    security = provider.universe.get(symbol.strip().upper())
    return None if security is None or security.dead else security


FUNCTIONS: Mapping[str, Callable[[Provider, Params, datetime], Answer]] = {
    "GLOBAL_QUOTE": _global_quote,
    **dict.fromkeys(SERIES, _time_series),
    "SYMBOL_SEARCH": _symbol_search,
    "REALTIME_BULK_QUOTES": _realtime_bulk_quotes,
    "LISTING_STATUS": _listing_status,
    "MARKET_STATUS": _market_status,
    "OVERVIEW": _overview,
    "TOP_GAINERS_LOSERS": _top_gainers_losers,
    **dict.fromkeys(("SPLITS", "DIVIDENDS"), _events),
}
