"""How symbols are spelt: what is one, what it becomes, and what cannot be one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.core.symbols import normalize_symbol, spellings, stored_as, stored_spellings
from common.errors import InvalidSymbol


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("AAPL", "AAPL"),
        ("aapl", "AAPL"),
        (" ibm ", "IBM"),
        ("BRK.B", "BRK-B"),
        ("brk.b", "BRK-B"),
        ("BF.A", "BF-A"),
        ("BRK-B", "BRK-B"),
        ("A.B", "A-B"),
        ("ABCDE.F", "ABCDE.F"),  # five letters: no class share
        ("BRK.BB", "BRK.BB"),
        ("TSCO.LON", "TSCO.LON"),
        ("SHOP.TRT", "SHOP.TRT"),
        ("600104.SHH", "600104.SHH"),
        ("6.B", "6.B"),
        ("M&M.BSE", "M&M.BSE"),
        ("GAB-P-G:BAT", "GAB-P-G:BAT"),
        ("BC/PB", "BC/PB"),
        ("^GSPC", "^GSPC"),
        ("CELG^", "CELG^"),
        ("OPFI+", "OPFI+"),
        ("EURUSD=X", "EURUSD=X"),
        ("BAJAJ-AUTO.BSE", "BAJAJ-AUTO.BSE"),
        ("A" * 20, "A" * 20),
        ("7", "7"),
    ],
)
def test_while_there_is_no_listing_a_dot_before_one_letter_is_a_class_shares(text: str, symbol: str) -> None:
    assert symbol == normalize_symbol(text)


LISTED = frozenset(
    {"AAPL", "BP", "BRK-A", "BRK-B", "BF-B", "BC/PB", "LEN-B", "LEN.B", "JPM-P-C", "ABCDE-F", "TWO-WS", "CW.A"}
)


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        *((text, "BRK-B") for text in ("BRK-B", "brk-b", "BRK.B", "brk.b", "brk/b", "brk b", " BRK/B ", "Brk  b")),
        *((text, "BF-B") for text in ("bf.b", "BF/B", "bf b")),
        *((text, "JPM-P-C") for text in ("jpm-p-c", "JPM.P.C", "jpm/p/c", "JPM P C", "jpm-p/c")),
        ("two.ws", "TWO-WS"),
        ("abcde/f", "ABCDE-F"),
        ("BP.L", "BP.L"),  # London, not class L of BP
        ("bp/l", "BP/L"),
        ("SHEL.L", "SHEL.L"),
        ("RY.T", "RY.T"),
        ("BRK.C", "BRK.C"),
        ("TSCO.LON", "TSCO.LON"),
        ("bc/pb", "BC/PB"),  # as it is listed
        ("cw.a", "CW.A"),
        ("len.b", "LEN.B"),  # both are listed
        ("LEN/B", "LEN-B"),
        ("BRKB", "BRKB"),  # joined forms are for the search
        ("JPMPC", "JPMPC"),
        ("bc-pb", "BC-PB"),
    ],
)
def test_a_sign_becomes_a_dash_only_where_the_listing_has_the_dash_form(text: str, symbol: str) -> None:
    assert symbol == normalize_symbol(text, LISTED)
    assert symbol == normalize_symbol(symbol, LISTED)


@pytest.mark.parametrize("text", ["brk c", "AA PL", "BRK\tB", "BRK - B", "BRK B B", "brk\u00a0b", "BRK_B"])
def test_a_blank_is_no_part_of_a_symbol_where_the_listing_has_no_dash_form(text: str) -> None:
    with pytest.raises(InvalidSymbol):
        normalize_symbol(text, LISTED)


def test_the_listing_is_asked_for_what_can_be_a_symbol_alone() -> None:
    assert ["BRK/B", "BRK-B"] == spellings("brk/b")
    assert ["BRK-B"] == spellings(" brk b ")
    assert ["AAPL"] == spellings("aapl")
    assert [] == spellings("A\0B")


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("brk.b", ["BRK.B", "BRK-B", "BRK/B"]),
        ("brk b", ["BRK B", "BRK-B", "BRK/B", "BRK.B"]),
        ("BP.L", ["BP.L", "BP-L", "BP/L"]),  # as the rewrite of earlier releases had it
        ("len-b", ["LEN-B", "LEN/B"]),  # LEN.B is another share
        ("bc/pb", ["BC/PB", "BC-PB", "BC.PB"]),
        ("aapl", ["AAPL"]),
    ],
)
def test_what_was_stored_under_an_earlier_spelling_is_meant_too(text: str, stored: list[str]) -> None:
    assert stored == stored_spellings(text, LISTED)


@pytest.mark.parametrize(
    ("text", "stored", "meant"),
    [
        ("brk/b", {"BRK/B", "BRK-B"}, "BRK/B"),
        ("brk/b", {"BRK-B"}, "BRK-B"),
        ("brk-b", {"BRK/B"}, "BRK/B"),
        ("brk.b", set[str](), "BRK-B"),
        ("len-b", {"LEN.B"}, "LEN-B"),
    ],
)
def test_of_what_is_stored_the_spelling_as_typed_goes_first(text: str, stored: set[str], meant: str) -> None:
    assert meant == stored_as(text, stored, LISTED)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "A" * 21, "AAPL,MSFT", "AA PL", "NYCB- PR-U", "-P-HIZ", ".A", "&A", "NXT(EXP20091224)", "A_B"),
        *("AAPL\n", "AAPL\r\n", "\tAAPL", "A\0B", "A\x1bB", "\x7f", "A%20B", "A?B", "A#B", "A;B", "A'B", 'A"B', "A\\B"),
        *("ÄAPL", "ＡＡＰＬ", "Aİ", "Å", "😀", "AAPL\u00a0", "\u200bAAPL", "../A"),
    ],
)
def test_what_cannot_be_a_symbol_is_refused(text: str) -> None:
    with pytest.raises(InvalidSymbol, match=r"expected a symbol of 1 to 20 characters"):
        normalize_symbol(text)


def test_a_refusal_shows_no_more_than_forty_characters_and_no_raw_control_ones() -> None:
    with pytest.raises(InvalidSymbol) as caught:
        normalize_symbol("\x1b[2J" + "x" * 1000)

    assert len(str(caught.value)) < 150
    assert "\x1b" not in str(caught.value)


@given(text=st.from_regex(r"[A-Za-z0-9^][A-Za-z0-9.&^+:=/-]{0,19}", fullmatch=True))
def test_a_normal_spelling_stays_as_it_is(text: str) -> None:
    symbol = normalize_symbol(text)

    assert symbol == normalize_symbol(symbol)
    assert symbol.replace("-", ".") == text.upper().replace("-", ".")


listings = st.frozensets(st.from_regex(r"[AB]{1,2}([./-][AB]{1,2})?", fullmatch=True))


@given(text=st.from_regex(r" ?[ab]{1,2}([./ -][ab]{1,2})? ?", fullmatch=True), known=listings)
def test_only_the_signs_change_and_only_into_what_is_listed(text: str, known: frozenset[str]) -> None:
    typed = text.strip(" ").upper()
    try:
        symbol = normalize_symbol(text, known)
    except InvalidSymbol:
        assert " " in typed
        assert typed.replace(" ", "-") not in known
        return

    assert symbol == typed or (symbol in known and typed not in known)
    assert re.sub(r"[./ -]", "", symbol) == re.sub(r"[./ -]", "", typed)


@given(text=st.text(max_size=24))
def test_whatever_is_sent_is_a_safe_symbol_or_refused(text: str) -> None:
    try:
        symbol = normalize_symbol(text)
    except InvalidSymbol:
        return
    assert re.fullmatch(r"[A-Z0-9^][A-Z0-9.&^+:=/-]{0,19}", symbol)
