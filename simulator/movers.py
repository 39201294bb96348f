"""TOP_GAINERS_LOSERS. Pure: moves in, JSON out."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from simulator.bodies import Body
from simulator.prices import Move

TOP = 20


def top_gainers_losers(moves: Iterable[tuple[str, Move]], updated: str) -> Body:
    """`updated` is a time in New York, without its zone. Who rose is no loser, however few fell."""
    found = sorted(moves, key=lambda move: move[0])
    gainers = sorted((m for m in found if m[1].change > 0), key=lambda m: -m[1].change_percent)
    losers = sorted((m for m in found if m[1].change < 0), key=lambda m: m[1].change_percent)
    return {
        "metadata": "Top gainers, losers, and most actively traded US tickers",
        "last_updated": f"{updated} US/Eastern",
        "top_gainers": _rows(gainers),
        "top_losers": _rows(losers),
        "most_actively_traded": _rows(sorted(found, key=lambda m: -m[1].volume)),
    }


def _rows(moves: Iterable[tuple[str, Move]]) -> list[Mapping[str, str]]:
    return [
        {
            "ticker": symbol,
            "price": _plain(move.price),
            "change_amount": _plain(move.change),
            "change_percentage": f"{_plain(move.change_percent)}%",
            "volume": str(move.volume),
        }
        for symbol, move in list(moves)[:TOP]
    ]


def _plain(value: Decimal) -> str:
    """As a float is printed: `3.6`, `70.0`, `-0.0091`."""
    return str(float(value))
