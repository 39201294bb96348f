"""What a few typed letters find, and in which order."""

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.core.models import Listed, Match
from common.core.search.ranking import BEST, STRONG, build_index, merge, normalize_query
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
        ("f", ["F", "FAZ", "FAST", "FFF", "FAB", "BAC"]),  # itself, then stocks before funds, the shorter first
        ("FA", ["FAZ", "FAST", "FAB"]),
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


@pytest.mark.parametrize(
    ("query", "strong", "weak"),
    [
        ("app", ["APP", "AAPL", "APLE"], ["PINE"]),  # a part of a word
        ("mody's", [], ["MCO"]),  # misspelt
        ("moody's", ["MCO"], []),
        ("pineaple", [], ["PINE"]),
        ("apple", ["AAPL", "APLE"], ["PINE"]),
    ],
)
def test_misspelt_words_and_parts_of_words_are_weak_hits(query: str, strong: list[str], weak: list[str]) -> None:
    found = INDEX.find(query)

    assert strong == [match.symbol for match in found if match.score >= STRONG]
    assert weak == [match.symbol for match in found if match.score < STRONG]


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
        ("CW.A", True),
        ("CW-A", False),
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


def reference(listed: Sequence[Listed], query: str) -> list[str]:
    """The documented ranking, computed over every row, without misspellings and parts of words."""
    words, typed = query.split(), query.replace(" ", "")
    shortest: dict[str, tuple[int, str]] = {}
    for row in listed:
        shortest[row.name] = min(shortest.get(row.name, (9, "")), (len(row.symbol), row.symbol))

    def kind(row: Listed) -> int:
        return 2 if shortest[row.name][1] != row.symbol else int(row.asset_type == "ETF")

    def tier(row: Listed) -> int:
        own, joined = row.name.split(), row.name.replace(" ", "")
        told = {*own, row.symbol}
        by_symbol = len(words) == 1 and row.symbol.startswith(typed)
        tests = (
            (
                by_symbol and row.symbol == typed,
                joined == typed,
                by_symbol and len(typed) <= 3,
                typed in accumulate(own),
                by_symbol,
            ),
            (
                joined.startswith(typed),
                set(words) <= told,
                all(any(one.startswith(word) for one in own) for word in words),
            ),
        )
        return next((number for number, met in enumerate([*tests[0], *tests[1]]) if met), 99)

    def rank(row: Listed) -> tuple[object, ...]:
        found = tier(row)
        length = len(row.symbol) if found in (2, 4) else 0
        order = (kind(row), len(row.name.replace(" ", "")), row.name, len(row.symbol), row.symbol)
        return (0 if found == 0 else 1 + kind(row), found, kind(row), length, *order)

    return [row.symbol for row in sorted(listed, key=rank) if tier(row) != 99][:BEST]


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

    found = [match.symbol for match in build_index(shuffled).find(query) if match.score >= STRONG]
    assert reference(listed, query) == found


LISTED = [
    stock("AAPL", "Apple Inc"),
    stock("BAC", "Bank Of America Corp"),
    stock("BAC-P-B", "Bank Of America Corp"),
    stock("BJ", "BJ`s Wholesale Club Holdings Inc"),
    stock("BRK-A", "Berkshire Hathaway Inc - Class A"),
    stock("BRK-B", "Berkshire Hathaway Inc - Class B"),
    stock("BRKW", "ROUNDHILL BRKB WEEKLYPAY ETF ", "ETF"),
    stock("DIS", "Walt Disney Company (The)"),
    stock("EL", "Estee Lauder Cos. Inc - Class A"),
    stock("GOOG", "Alphabet Inc - Class C"),
    stock("GOOGL", "Alphabet Inc - Class A"),
    stock("GOOP", "Kurv Yield Premium Strategy Google (GOOGL) ETF", "ETF"),
    stock("IAI", "ISHARES U.S. BROKER-DEALERS &AMP; SECURITIES EXCHANGES ETF ", "ETF"),
    stock("JNJ", "Johnson & Johnson"),
    stock("JNJ-WD", "Johnson & Johnson WhenDistributed"),
    stock("JPIE", "JPMORGAN INCOME ETF ", "ETF"),
    stock("JPM", "JPMorgan Chase & Company"),
    stock("JPM-P-M", "J P Morgan Chase & Co Depositary Shares Series M"),
    stock("KO", "Coca-Cola Company"),
    stock("LE", "Lands` End Inc"),
    stock("MCD", "McDonald`s Corp"),
    stock("META", "Meta Platforms Inc - Class A"),
    stock("MSFT", "MICROSOFT CORPORATION"),
    stock("T", "AT&T Inc"),
    stock("TMUS", "T-Mobile US Inc"),
    stock("TMUSL", "TMobile US Inc 6.250 Senior Notes due 2069"),
    stock("USB", "U.S. Bancorp."),
    stock("XYF:BAT", "X Financial"),
    stock("XYF", "X Financial"),
]
AS_LISTED = build_index(LISTED)


@pytest.mark.parametrize(
    ("symbol", "queries"),
    [
        (
            "MCD",
            [
                "mcdonalds",
                "McDonald's",
                "McDonald’s",
                "MCDONALD`S",
                "mcdonaldʼs",
                "mc donalds",
                "mc-donald′s",
                "mcdonald‘s corp",
            ],
        ),
        ("BJ", ["bjs", "bj's", "BJ’s wholesale"]),
        ("LE", ["lands end", "lands’ end", "land's end", "landsend"]),
        (
            "JNJ",
            ["johnson and johnson", "johnson & johnson", "Johnson &amp; Johnson", "johnson&johnson", "johnson johnson"],
        ),
        ("JNJ", ["johnson an", "johnson and"]),
        ("T", ["at&t", "AT & T", "at and t", "att", "at t", "AT&amp;T", "AT&AMP;T"]),
        ("JPM", ["jpmorgan", "jp morgan", "j.p. morgan", "J P Morgan", "jp-morgan chase", "JPMorgan Chase & Co."]),
        (
            "KO",
            [
                "coca cola",
                "coca-cola",
                "cocacola",
                "coca‑cola",
                "COCA–COLA",
                "coca cola company",
                "the coca-cola co",
                "coca cola compan",
            ],
        ),
        ("TMUS", ["tmobile", "t-mobile", "t mobile", "T‐Mobile"]),
        ("USB", ["us bancorp", "u.s. bancorp", "usbancorp"]),
        ("EL", ["estee lauder", "estée lauder", "ESTE\u0301E LAUDER", "esteelauder"]),
        ("DIS", ["disney", "walt disney", "the walt disney company", "waltdisney"]),
        (
            "MSFT",
            ["microsoft corporation", "microsoft corp", "microsoft stock", "“microsoft”", '"microsoft"', "Microsoft®"],
        ),
        ("IAI", ["broker dealers & securities", "broker-dealers and securities", "broker dealers &amp; securities"]),
    ],
)
def test_a_name_is_found_however_its_signs_and_blanks_are_typed(symbol: str, queries: list[str]) -> None:
    found = {query: [match.symbol for match in AS_LISTED.find(normalize_query(query))[:1]] for query in queries}

    assert {query: [symbol] for query in queries} == found


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("google", ["GOOGL", "GOOG", "GOOP"]),
        ("googl", ["GOOGL", "GOOG", "GOOP"]),
        ("face book", ["META"]),
        ("instagram", ["META"]),
        ("iphone", ["AAPL"]),
        ("berkshire", ["BRK-B", "BRK-A"]),
        ("citibank", []),  # which is not in this listing
    ],
)
def test_a_brand_finds_the_company_that_is_listed_under_another_name(query: str, expected: list[str]) -> None:
    assert expected == [match.symbol for match in AS_LISTED.find(query)]


@pytest.mark.parametrize("query", ["BRKB", "brk.b", "brk/b", "brk b", "BRK-B"])
def test_a_class_share_is_first_in_every_spelling_of_its_symbol(query: str) -> None:
    assert "BRK-B" == AS_LISTED.find(query)[0].symbol


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("mircosoft", "MSFT"),  # letters that changed places
        ("microsft", "MSFT"),  # one is missing
        ("microsofft", "MSFT"),  # one too many
        ("nicrosoft", "MSFT"),  # another one
        ("mcrosfot", "MSFT"),  # two errors in eight letters
        ("mircosoft corp", "MSFT"),
        ("aple", "AAPL"),
        ("facebok", "META"),
        ("googel", "GOOGL"),
        ("jonson and jonson", "JNJ"),
        ("cocacolla", "KO"),
        ("walt dinsey", "DIS"),
        ("bank amercia", "BAC"),
        ("berkshire hathway", "BRK-B"),
        ("bobby mcdonalds", "MCD"),  # a word too many
    ],
)
def test_a_misspelt_name_is_found(query: str, expected: str) -> None:
    best = AS_LISTED.find(query)[0]

    assert (expected, True) == (best.symbol, best.score < STRONG)


@pytest.mark.parametrize("query", ["apl", "apxxle inc", "zzzz", "mxrxsxft", "qqqq wwww eeee rrrr", "x" * 100])
def test_what_is_near_to_nothing_finds_nothing(query: str) -> None:
    assert [] == AS_LISTED.find(query)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("jpmorgan", ["JPM", "JPIE", "JPM-P-M"]),
        ("bank of america", ["BAC", "BAC-P-B"]),
        ("johnson", ["JNJ", "JNJ-WD"]),
        ("t-mobile", ["TMUS", "TMUSL"]),
        ("x financial", ["XYF", "XYF:BAT"]),
        ("xyf", ["XYF", "XYF:BAT"]),
    ],
)
def test_shares_go_before_funds_and_these_before_other_papers_and_venues(query: str, expected: list[str]) -> None:
    assert expected == [match.symbol for match in AS_LISTED.find(query)]


@pytest.mark.parametrize(
    "query", ["$AAPL", "#aapl", "Apple (AAPL)", "AAPL apple", "apple inc aapl", "NASDAQ:AAPL", "aapl stock", "AAPL US"]
)
def test_a_symbol_is_found_as_it_is_written_elsewhere(query: str) -> None:
    assert "AAPL" == AS_LISTED.find(normalize_query(query))[0].symbol


def test_what_is_typed_apart_is_no_symbol_without_a_sign() -> None:
    index = build_index([*LISTED, stock("BP", "BP plc"), stock("BPL", "Other Corp"), stock("BRKB", "Another Corp")])

    assert "BPL" not in [match.symbol for match in index.find("BP.L") if match.score >= STRONG]
    assert "BRK-B" == index.find("brk b")[0].symbol
    assert ["BRKB", "BRK-B"] == [match.symbol for match in index.find("brkb")][:2]


def test_a_name_with_a_sign_is_no_symbol_of_the_same_letters() -> None:
    index = build_index([*LISTED, stock("ATT", "Attic Corp")])

    assert ["T", "ATT"] == [match.symbol for match in index.find("at&t")]
    assert ["ATT", "T"] == [match.symbol for match in index.find("att")]


def test_a_name_is_shown_without_markup() -> None:
    assert "ISHARES U.S. BROKER-DEALERS & SECURITIES EXCHANGES ETF" == AS_LISTED.find("iai")[0].name
    assert "McDonald's Corp" == AS_LISTED.find("mcd")[0].name


@pytest.mark.parametrize("symbol", ["NYCB- PR-U", "-P-HIZ", "", "NXT(EXP20091224)"])
def test_a_symbol_that_cannot_be_asked_for_is_not_shown(symbol: str) -> None:
    assert ["B"] == [
        match.symbol for match in build_index([stock(symbol, "Some Bank"), stock("B", "Some Bank")]).find("some bank")
    ]


def a_match(symbol: str, name: str) -> Match:
    return replace(AS_LISTED.matches[0], symbol=symbol, name=name)


def test_what_the_provider_has_by_its_words_goes_before_our_weak_hits_and_its_other_ones_behind_them() -> None:
    ours = [a_match("TSLA", "Tesla Inc"), a_match("TES", "Tess Corp")]
    asked = [
        a_match("TESC", "Tes Co Holding"),
        a_match("TSCO.LON", "Tesco plc"),
        a_match("TSLA", "Tesla Inc"),
        a_match("A B", "Tesco"),
    ]

    assert ["TESC", "TSCO.LON", "TSLA", "TES"] == [match.symbol for match in merge("TESCO", ours, asked)]
    assert ["TSLA", "TES", "ZZZ"] == [match.symbol for match in merge("TESLS", ours, [a_match("ZZZ", "Other")])]


def test_ten_are_merged_at_most() -> None:
    ours = [a_match(f"A{number}", "Name") for number in range(8)]
    asked = [a_match(f"B{number}", "Name") for number in range(8)]

    assert [f"A{number}" for number in range(8)] + ["B0", "B1"] == [m.symbol for m in merge("OTHER", ours, asked)]


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
        ("a" * 100, "A" * 100),
        ("McDonald’s", "MCDONALD'S"),
        ("mcdonald`s", "MCDONALD'S"),
        ("“apple”", "APPLE"),
        ('"apple"', "APPLE"),
        ("johnson &amp; johnson", "JOHNSON & JOHNSON"),
        ("S&AMP;P 500", "S&P 500"),
        ("coca\u2011cola – co", "COCA-COLA - CO"),
        ("Yum! Brands®", "YUM! BRANDS"),
        ("Lilly(Eli) & Company [new]", "LILLY(ELI) & COMPANY [NEW]"),
    ],
)
def test_a_query_is_trimmed_and_upper_cased(typed: str, query: str) -> None:
    assert query == normalize_query(typed)
    assert query == normalize_query(query)


@pytest.mark.parametrize(
    "typed", ["", "   ", "a" * 101, "ß" * 51, "a\0b", "a\x1bb", "a\ud800", "&", "...", "a<b", '""', "a\\b", "a\u200bb"]
)
def test_what_nobody_types_is_refused(typed: str) -> None:
    with pytest.raises(InvalidRequest, match="1 to 100 letters"):
        normalize_query(typed)
