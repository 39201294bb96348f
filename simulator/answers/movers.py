"""TOP_GAINERS_LOSERS."""

from collections.abc import Mapping
from decimal import Decimal

from simulator.answers.answer import Answer
from simulator.answers.query import Query
from simulator.market.bars import Move
from simulator.market.sessions import NEW_YORK
from simulator.market.universe import US

_ROWS = 20  # of each list


def top_gainers_losers(query: Query) -> Answer:
    """Of all American symbols. A security that rose is no loser, however few fell."""
    living = [s for s in query.provider.universe.values() if s.region == US and not s.dead]
    moves = [(s.symbol, query.move(s)) for s in living]
    at = query.market_time
    updated = f"{at.astimezone(NEW_YORK):%Y-%m-%d %H:%M:%S}" if at else f"{moves[0][1].day} 16:16:00"
    gainers = sorted((m for m in moves if m[1].change > 0), key=lambda m: -m[1].change_percent)
    losers = sorted((m for m in moves if m[1].change < 0), key=lambda m: m[1].change_percent)
    body = {
        "metadata": "Top gainers, losers, and most actively traded US tickers",
        "last_updated": f"{updated} US/Eastern",
        "top_gainers": _rows(gainers),
        "top_losers": _rows(losers),
        "most_actively_traded": _rows(sorted(moves, key=lambda m: -m[1].volume)),
    }
    return Answer("ok", body)


def _rows(moves: list[tuple[str, Move]]) -> list[Mapping[str, str]]:
    return [
        {
            "ticker": symbol,
            "price": _plain(move.price),
            "change_amount": _plain(move.change),
            "change_percentage": f"{_plain(move.change_percent)}%",
            "volume": str(move.volume),
        }
        for symbol, move in moves[:_ROWS]
    ]


def _plain(value: Decimal) -> str:
    """As a float is printed: `3.6`, `70.0`, `-0.0091`."""
    return str(float(value))
