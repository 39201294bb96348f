"""What a few typed letters find, and in which order."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.core.models import Listed
from common.core.search import BEST, build_index, normalize_query
from common.errors import InvalidRequest


def stock(symbol: str, name: str = "", kind: str = "Stock") -> Listed:
    return Listed(symbol, name, "NYSE", kind, None)


SOME = [
    stock("AAPL", "Apple Inc"),
    stock("APLE", "Apple Hospitality REIT Inc"),
    stock("APP", "Applovin Corp - Class A"),
    stock("BAC", "Bank of America Corp"),
    stock("BRK-A", "Berkshire Hathaway Inc - Class A"),
    stock("BRK-B", "Berkshire Hathaway Inc - Class B"),
    stock("F", "Ford Motor Company"),
    stock("FAB", "First Trust Multi Cap Value", "ETF"),
    stock("FAST", "Fastenal Co"),
    stock("FAZ", "Fazed Holdings"),
    stock("FFF", "Finance of Ford", "ETF"),
    stock("MCO", "Moody's Corp"),
    stock("NSR", "Nestlé Resources"),
    stock("PINE", "Pineapple Holdings Inc"),
    stock("T", "AT&T Inc"),
    stock("X", ""),
]
INDEX = build_index(SOME)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("f", ["F", "FAZ", "FFF", "FAB", "FAST", "BAC"]),  # itself, then the shorter, of these stocks first
        ("FA", ["FAZ", "FAB", "FAST"]),
        ("aapl", ["AAPL"]),
        ("brk", ["BRK-A", "BRK-B"]),
        ("BRK.B", ["BRK-B"]),
        ("brk b", ["BRK-B"]),
        ("apple", ["AAPL", "APLE", "PINE"]),  # the shorter name first, within a word last
        ("APP", ["APP", "AAPL", "APLE", "PINE"]),
        ("ford", ["F", "FFF"]),  # a name that begins so goes before one that has it
        ("amer bank", ["BAC"]),
        ("class b hath", ["BRK-A", "BRK-B"]),  # B begins Berkshire too
        ("AT&T", ["T"]),
        ("moody's", ["MCO"]),
        ("nestle", ["NSR"]),
        ("NESTLÉ", ["NSR"]),
        ("inc app", ["AAPL", "APLE"]),
        ("nothing like it", []),
        ("&", []),
        ("", []),
    ],
)
def test_what_is_typed_finds_its_symbols_best_first(query: str, expected: list[str]) -> None:
    assert expected == [match.symbol for match in INDEX.find(query)]


def test_a_match_says_what_search_answers() -> None:
    [ford, fund] = INDEX.find("ford")

    assert ("F", "Ford Motor Company", "Equity") == (ford.symbol, ford.name, ford.type)
    assert ("FFF", "Finance of Ford", "ETF") == (fund.symbol, fund.name, fund.type)
    assert ("United States", "USD") == (ford.region, ford.currency)


def test_the_score_falls_from_kind_to_kind() -> None:
    scores = [match.score for match in INDEX.find("app")]

    assert sorted(set(scores), reverse=True) == list(dict.fromkeys(scores))
    assert 3 == len(set(scores))


def test_at_equal_rank_a_stock_goes_before_an_etf() -> None:
    index = build_index([stock("XA", "Silver Trust", "ETF"), stock("XB", "Silver Trust and more")])

    assert ["XB", "XA"] == [match.symbol for match in index.find("x")]
    assert ["XB", "XA"] == [match.symbol for match in index.find("silver")]
    assert ["XB", "XA"] == [match.symbol for match in index.find("trust")]
    assert ["XB", "XA"] == [match.symbol for match in index.find("rust")]


def test_an_empty_listing_finds_nothing() -> None:
    assert [] == build_index([]).find("AAPL")


@pytest.mark.parametrize(
    ("symbol", "listed"),
    [
        ("AAPL", True),
        ("BRK-B", True),
        ("BRK", False),
        ("BRK-C", False),
        ("AAP", False),
        ("APPLE", False),
        ("BC/PB", True),
        ("BC-PB", False),  # the same words, another spelling
        ("CW-A", True),
        ("DJI", False),
        ("^DJI", True),
        ("", False),
    ],
)
def test_the_listing_has_what_is_spelt_so(symbol: str, listed: bool) -> None:
    index = build_index([*SOME, stock("BC/PB"), stock("cw.a"), stock("^DJI"), stock("A B C"), stock("^")])

    assert listed == index.has(symbol)


def test_two_symbols_of_the_same_words_are_both_listed() -> None:
    index = build_index([stock("BC/PB"), stock("BC-PB"), stock("BC.PB")])

    assert [True] * 3 + [False] == [index.has(symbol) for symbol in ("BC/PB", "BC-PB", "BC.PB", "BC:PB")]


def test_an_empty_listing_has_nothing() -> None:
    assert not build_index([]).has("AAPL")


def reference(listed: list[Listed], query: str) -> list[str]:
    """The ranking as it is told, over every row."""

    def rank(row: Listed) -> tuple[object, ...]:
        symbol, name, words = row.symbol, row.name, query.split()
        etf = row.asset_type == "ETF"
        order = (etf, len(name), symbol)
        if symbol.startswith("-".join(words)):
            return (0, len(symbol), *order)
        if name.startswith(query):
            return (1, 0, *order)
        if all(any(own.startswith(word) for own in name.split()) for word in words):
            return (2, 0, *order)
        return (3, 0, *order) if query in name else (4, 0, *order)

    return [row.symbol for row in sorted(listed, key=rank) if rank(row)[0] != 4][:BEST]


letters = st.text("ABC", min_size=1, max_size=3)
phrases = st.lists(letters, min_size=1, max_size=3).map(" ".join)


@given(
    st.lists(st.builds(stock, letters, phrases, st.sampled_from(["Stock", "ETF"])), unique_by=lambda row: row.symbol),
    phrases,
    st.randoms(),
)
def test_the_index_finds_what_a_look_at_every_row_would(
    listed: list[Listed], query: str, chance: random.Random
) -> None:
    shuffled = chance.sample(listed, len(listed))

    assert reference(listed, query) == [match.symbol for match in build_index(shuffled).find(query)]


def test_thirteen_thousand_rows_are_searched_within_two_milliseconds() -> None:
    words = ["Capital", "Income", "Class", "Acquisition", "Energy", "Inc", "Corp", "Units", "Trust", "Northern"]
    chance = random.Random(7)
    rows = [stock(f"{n:X}", " ".join(chance.sample(words, 5))) for n in range(13_000)]
    index = build_index(rows)

    assert max(_least_time(index.find, query) for query in ("A", "C I", "C I E U", "INC CORP", "QUITE", "APIT")) < 0.002


def _least_time(find: object, query: str) -> float:
    assert callable(find)
    times = []
    for _ in range(7):
        begun = time.perf_counter()
        find(query)
        times.append(time.perf_counter() - begun)
    return min(times)


@pytest.mark.parametrize(
    ("typed", "query"),
    [
        (" apple  inc ", "APPLE INC"),
        ("at&t", "AT&T"),
        ("moody's", "MOODY'S"),
        ("nestle\u0301", "NESTLÉ"),
        ("straße", "STRASSE"),
        ("トヨタ", "トヨタ"),
        ("\tbrk.b\n", "BRK.B"),
        ("a" * 40, "A" * 40),
    ],
)
def test_a_query_is_trimmed_and_upper_cased(typed: str, query: str) -> None:
    assert query == normalize_query(typed)
    assert query == normalize_query(query)


@pytest.mark.parametrize(
    "typed", ["", "   ", "a" * 41, "ß" * 21, "a\0b", "a\x1bb", "a\ud800", "&", "...", "a<b", 'a"b', "a\\b", "a\u200bb"]
)
def test_what_nobody_types_is_refused(typed: str) -> None:
    with pytest.raises(InvalidRequest, match="1 to 40 letters"):
        normalize_query(typed)
