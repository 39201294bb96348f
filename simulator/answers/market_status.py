"""MARKET_STATUS."""

from simulator.answers.answer import Answer
from simulator.answers.query import Query
from simulator.market.exchanges import markets


def market_status(query: Query) -> Answer:
    rows = [
        {
            "market_type": market.kind,
            "region": market.region,
            "primary_exchanges": market.exchanges,
            "local_open": market.opens,
            "local_close": market.closes,
            "current_status": "open" if market.is_open(query.now) else "closed",
            "notes": market.notes,
        }
        for market in markets()
    ]
    return Answer("ok", {"endpoint": "Global Market Open & Close Status", "markets": rows})
