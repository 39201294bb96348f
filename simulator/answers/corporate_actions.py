"""SPLITS and DIVIDENDS: no security ever had any."""

from collections.abc import Mapping

from simulator.answers.answer import Answer, Table
from simulator.answers.query import Query

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "SPLITS": ("effective_date", "split_factor"),
    "DIVIDENDS": ("ex_dividend_date", "declaration_date", "record_date", "payment_date", "amount"),
}


def corporate_actions(query: Query) -> Answer:
    if not query.symbol:
        return query.invalid()
    security = query.security()
    if security is None:
        return Answer("no_data", {})
    table = Table.of(f"{query.function.lower()}_{security.symbol}", COLUMNS[query.function], ())
    return Answer("ok", {"symbol": security.symbol, "data": []}, table)
