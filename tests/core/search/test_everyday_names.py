"""A search over a listing of the real size: what people type finds what they mean."""

import pytest

from common.core.search.ranking import Index, build_index
from tests.listing import SIZE, make_body, make_listing

EVERYDAY = {
    "aapl": "AAPL", "apple": "AAPL", "apple inc": "AAPL", "aple": "AAPL", "appel": "AAPL", "apple stock": "AAPL",
    "microsoft": "MSFT", "mircosoft": "MSFT", "microsft": "MSFT", "msft": "MSFT",
    "google": "GOOGL", "googel": "GOOGL", "alphabet": "GOOGL", "youtube": "GOOGL",
    "amazon": "AMZN", "amazn": "AMZN", "amazon.com": "AMZN", "facebook": "META", "facebok": "META", "instagram": "META",
    "nvidia": "NVDA", "nvida": "NVDA", "nvda": "NVDA", "tesla": "TSLA", "telsa": "TSLA", "tsla": "TSLA",
    "berkshire hathaway": "BRK-B", "brk.b": "BRK-B", "BRKB": "BRK-B", "brk/b": "BRK-B", "brk b": "BRK-B",
    "netflix": "NFLX", "netflx": "NFLX", "mcdonalds": "MCD", "McDonald’s": "MCD", "mc donalds": "MCD", "macdonalds": "MCD",
    "johnson and johnson": "JNJ", "johnson & johnson": "JNJ", "j&j": "JNJ", "jonson and jonson": "JNJ",
    "jpmorgan": "JPM", "jp morgan": "JPM", "j.p. morgan": "JPM", "jp morgan chase": "JPM",
    "coca cola": "KO", "coca-cola": "KO", "cocacola": "KO", "pepsi": "PEP", "starbucks": "SBUX", "starbuks": "SBUX",
    "bank of america": "BAC", "bank of amercia": "BAC", "bofa": "BAC", "wells fargo": "WFC", "citigroup": "C", "citibank": "C",
    "goldman sachs": "GS", "goldman sacks": "GS", "morgan stanley": "MS", "at&t": "T", "verizon": "VZ", "tmobile": "TMUS",
    "t-mobile": "TMUS", "comcast": "CMCSA", "disney": "DIS", "walt disney": "DIS", "walmart": "WMT", "wal-mart": "WMT",
    "wallmart": "WMT", "target": "TGT", "costco": "COST", "cosco": "COST", "home depot": "HD", "the home depot": "HD",
    "lowes": "LOW", "lowe's": "LOW", "kohls": "KSS", "macys": "M", "o'reilly": "ORLY", "best buy": "BBY", "bestbuy": "BBY",
    "nike": "NKE", "ford": "F", "general motors": "GM", "general electric": "GE", "boeing": "BA", "boing": "BA",
    "lockheed": "LMT", "caterpiller": "CAT", "fedex": "FDX", "fed ex": "FDX", "ups": "UPS", "uber": "UBER", "lyft": "LYFT",
    "airbnb": "ABNB", "air bnb": "ABNB", "exxon": "XOM", "exxonmobil": "XOM", "exon mobile": "XOM", "chevron": "CVX",
    "pfizer": "PFE", "phizer": "PFE", "eli lilly": "LLY", "procter and gamble": "PG", "procter & gamble": "PG", "p&g": "PG",
    "visa": "V", "mastercard": "MA", "master card": "MA", "american express": "AXP", "amex": "AXP", "paypal": "PYPL",
    "intel": "INTC", "oracle": "ORCL", "salesforce": "CRM", "chiptole": "CMG", "palentir": "PLTR", "3m": "MMM",
    "estée lauder": "EL", "s&p 500": "SPY", "delta airlines": "DAL", "us bancorp": "USB", "spotify": "SPOT",
}  # fmt: skip


@pytest.fixture(scope="module")
def index() -> Index:
    return build_index(make_listing())


def found(index: Index, query: str) -> list[str]:
    return [match.symbol for match in index.find(query)]


def test_the_listing_is_as_large_as_the_recorded_one_and_the_same_each_time() -> None:
    assert SIZE == make_body().count(b"\r\n") - 1
    assert make_body() == make_body()


def test_of_a_hundred_and_twenty_everyday_names_a_hundred_and_fifteen_are_first_and_all_are_shown(index: Index) -> None:
    answers = {query: found(index, query) for query in EVERYDAY}
    first = [query for query, symbol in EVERYDAY.items() if answers[query][:1] == [symbol]]

    assert len(EVERYDAY) >= 120
    assert [] == [(query, answers[query]) for query, symbol in EVERYDAY.items() if symbol not in answers[query]]
    assert [] == sorted(set(EVERYDAY) - set(first) - {"aple"})  # which is a ticker, and goes before what is misspelt
