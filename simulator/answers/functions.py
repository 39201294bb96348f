"""The table of the functions that the simulator answers, and the way of one call through it, apart from limits and faults."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from common.core.limits import Rule
from simulator.answers.answer import Answer, refusal
from simulator.answers.catalogue import EMPTY, INDEX, PREMIUM
from simulator.answers.corporate_actions import COLUMNS, corporate_actions
from simulator.answers.listing import listing_status, spell_over_columns
from simulator.answers.market_status import market_status
from simulator.answers.movers import top_gainers_losers
from simulator.answers.notices import NOTICES, name_of_rule, notice
from simulator.answers.overview import overview
from simulator.answers.query import Params, Provider, Query
from simulator.answers.quotes import bulk_quotes, global_quote
from simulator.answers.search import symbol_search
from simulator.answers.series import SERIES, time_series

_ENTITLEMENTS = ("realtime", "delayed")


@dataclass(frozen=True, slots=True)
class Function:
    """`priced`: a key without the right is refused if it names an entitlement; bulk quotes have a refusal of their own.

    `slow`: the answer needs years of days, or every security: a second, if nothing is cached.
    """

    answer: Callable[[Query], Answer]
    priced: bool = False
    slow: bool = False


FUNCTIONS: Mapping[str, Function] = {
    "GLOBAL_QUOTE": Function(global_quote, priced=True),
    **{name: Function(time_series, priced=True, slow=not series.daily) for name, series in SERIES.items()},
    "SYMBOL_SEARCH": Function(symbol_search),
    "REALTIME_BULK_QUOTES": Function(bulk_quotes),
    "LISTING_STATUS": Function(listing_status),
    "MARKET_STATUS": Function(market_status),
    "OVERVIEW": Function(overview, slow=True),
    "TOP_GAINERS_LOSERS": Function(top_gainers_losers, priced=True, slow=True),
    **dict.fromkeys(COLUMNS, Function(corporate_actions)),
}


def answer(provider: Provider, params: Params, now: datetime) -> Answer:
    """Answer a call that broke no limit: as CSV, if it wants that and the answer has a table."""
    query = Query(provider, params, now)
    found = _refused(query) or _dispatch(query)
    return replace(found, body=found.table) if found.table and params.get("datatype") == "csv" else found


def _refused(query: Query) -> Answer | None:
    """The refusal of a key: of a missing one, or of one without the right to what it wants."""
    key, function = query.params.get("apikey", ""), query.function
    if not key:
        return refusal("bad_key")
    if key == "demo":
        return refusal("demo_key")
    if query.provider.entitled:
        return None
    if function == INDEX:
        return refusal("not_entitled_yet")
    priced = function in FUNCTIONS and FUNCTIONS[function].priced
    premium = function in PREMIUM or (priced and query.params.get("entitlement") in _ENTITLEMENTS)
    return refusal("not_entitled") if premium else None


def _dispatch(query: Query) -> Answer:
    if query.function in FUNCTIONS:
        return FUNCTIONS[query.function].answer(query)
    if query.function in {*EMPTY, *PREMIUM, INDEX}:
        return Answer("no_data", {})
    return refusal("no_such_function", function=query.function)


def is_slow(params: Params) -> bool:
    function = FUNCTIONS.get(params.get("function", ""))
    return params.get("outputsize") == "full" or (function is not None and function.slow)


def over_limit(params: Params, rule: Rule) -> Answer:
    """The answer to a call that broke `rule`. A function that speaks CSV only spells the notice's field over its columns."""
    name = name_of_rule(rule)
    if params.get("function") == "LISTING_STATUS":
        return Answer(f"over_limit:{rule}", spell_over_columns(NOTICES[name][0]))
    return Answer(f"over_limit:{rule}", notice(name, key=params.get("apikey", "")))
