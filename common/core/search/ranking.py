"""Normalize queries, build the index over the provider's listing, and merge its matches with the provider's."""

import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import accumulate, chain

from common.core.models import Listed, Match
from common.core.search.index import BEST, HEAD, SCORES, STRONG, Index, Tier
from common.core.search.keys import build_keys
from common.core.search.kinds import Kind, duplicates, kind_of
from common.core.search.names import APOSTROPHES, core_of, heard, readable, typed_words, unescape, words_of
from common.core.search.spelling import build_spellings
from common.core.symbols import is_symbol
from common.errors import InvalidRequest

__all__ = ["BEST", "MAX_QUERY_LENGTH", "STRONG", "Index", "build_index", "merge", "normalize_query"]

MAX_QUERY_LENGTH = 100
SIGNS = frozenset(" .,:;&'()[]+-*/=^!?%#$@_|~")
_PLAIN = str.maketrans(
    dict.fromkeys(APOSTROPHES, "'") | dict.fromkeys('"“”„‟«»®™©', "") | dict.fromkeys("‐‑‒–—―−", "-")
)


def normalize_query(text: str) -> str:
    """`  apple  inc` -> `APPLE INC`, the form that the queue and the store use. Raise `InvalidRequest` for an invalid query."""
    plain = " ".join(unescape(text).translate(_PLAIN).upper().split())
    query = unicodedata.normalize("NFC", plain)
    if not 1 <= len(query) <= MAX_QUERY_LENGTH or not typed_words(query) or not all(map(_is_typed, query)):
        raise InvalidRequest(
            f"expected a search of 1 to {MAX_QUERY_LENGTH} letters, digits and signs such as . & -, not {text[:50]!r}"
        )
    return query


def _is_typed(character: str) -> bool:
    """Whether a character is a letter, digit or mark of any script, or one of a few signs."""
    return character in SIGNS or unicodedata.category(character)[0] in "LMN"


def merge(query: str, local: Sequence[Match], asked: Sequence[Match]) -> list[Match]:
    """Merge the provider's matches with weak local ones: the provider's that have the words, the local ones, the provider's others.

    At most ten.
    """
    listed = [Listed(match.symbol, match.name, "", match.type, None) for match in asked]
    sure = {match.symbol for match in build_index(listed).find(query) if match.score >= STRONG}
    found: dict[str, Match] = {}
    for match in (*(match for match in asked if match.symbol in sure), *local, *asked):
        if is_symbol(match.symbol.upper()):
            found.setdefault(match.symbol.upper(), match)
    return list(found.values())[:BEST]


def build_index(listed: Iterable[Listed]) -> Index:
    """Build an index over a listing in any order, without invalid symbols.

    Order at equal rank: by kind, then the shorter company name first, then by name and symbol.
    """
    given = {row.symbol.upper(): row for row in listed if is_symbol(row.symbol.upper())}
    kinds = _kinds(given.values())
    cores = {symbol: core_of(row.name) for symbol, row in given.items()}
    order = sorted(given, key=lambda symbol: _order(given[symbol], kinds[symbol], cores[symbol]))
    words = [words_of(given[symbol].name) for symbol in order]
    lines = [" ".join(heard(name)) for name in words]
    listed_rows = {symbol: row for row, symbol in enumerate(order)}
    names = {
        "aliases": build_keys(_aliases(listed_rows)),
        "cores": build_keys(("".join(cores[symbol]), row) for row, symbol in enumerate(order) if cores[symbol]),
        "heads": build_keys(chain.from_iterable(_heads(cores[symbol], row) for row, symbol in enumerate(order))),
        "words": build_keys((word, row) for row, name in enumerate(words) for word in name),
    }
    return Index(
        matches=[_match(given[symbol]) for symbol in order],
        listed=listed_rows,
        kinds=bytes(kinds[symbol] for symbol in order),
        symbols=build_keys(("".join(words_of(symbol)), row) for row, symbol in enumerate(order)),
        names=build_keys((line.replace(" ", ""), row) for row, line in enumerate(lines) if line),
        spellings=build_spellings(chain.from_iterable(keys.texts for keys in names.values())),
        text="\n".join([*lines, ""]),
        starts=list(accumulate((len(line) + 1 for line in lines), initial=0)),
        **names,
    )


def _order(row: Listed, kind: Kind, core: Sequence[str]) -> tuple[int, int, str, int, str]:
    return kind, len("".join(core)), row.name.upper(), len(row.symbol), row.symbol


def _kinds(rows: Collection[Listed]) -> dict[str, Kind]:
    double = duplicates(rows)
    return {row.symbol.upper(): Kind.LESSER if row.symbol in double else kind_of(row) for row in rows}


def _heads(core: Sequence[str], row: int) -> Iterator[tuple[str, int]]:
    return ((head, row) for head in accumulate(core[:HEAD]))


def _aliases(rows: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Brands of listed companies, with their rows."""
    return ((name, rows[symbol]) for name, symbol in aliases() if symbol in rows)


@cache
def aliases() -> Sequence[tuple[str, str]]:
    """Brands and other names that companies are not listed under, from `aliases.csv`, with their symbols."""
    lines = files("common.core.search").joinpath("aliases.csv").read_text(encoding="utf-8").splitlines()[1:]
    pairs = (line.split(",") for line in lines)
    return [("".join(heard(words_of(name))), symbol) for name, symbols in pairs for symbol in symbols.split()]


def _match(row: Listed) -> Match:
    """A listing's row as a match. All are US symbols; the listing says Stock where the provider's search says Equity."""
    kind = "Equity" if row.asset_type == "Stock" else row.asset_type
    return Match(row.symbol, readable(row.name), kind, "United States", "USD", SCORES[Tier.SYMBOL])
