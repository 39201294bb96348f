"""How symbols are spelt: what is one, what it becomes, and what cannot be one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.core.symbols import normalize_symbol
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
def test_a_symbol_is_spelt_as_the_provider_spells_it(text: str, symbol: str) -> None:
    assert symbol == normalize_symbol(text)


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


@given(text=st.text(max_size=24))
def test_whatever_is_sent_is_a_safe_symbol_or_refused(text: str) -> None:
    try:
        symbol = normalize_symbol(text)
    except InvalidSymbol:
        return
    assert re.fullmatch(r"[A-Z0-9^][A-Z0-9.&^+:=/-]{0,19}", symbol)
