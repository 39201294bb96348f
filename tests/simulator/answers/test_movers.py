import pytest

from simulator.answers.query import Provider
from tests.simulator.answers.calls import ENTITLED, FREE, UNIVERSE, body_of

LISTS = ("top_gainers", "top_losers", "most_actively_traded")


@pytest.mark.parametrize(("provider", "updated"), [(FREE, "2026-11-20 14:14:59"), (ENTITLED, "2026-11-19 16:16:00")])
def test_the_movers_are_twenty_of_each_and_agree_with_their_quotes(provider: Provider, updated: str) -> None:
    body = body_of(provider, function="TOP_GAINERS_LOSERS")
    rows = [row for name in LISTS for row in body[name]]

    assert ["metadata", "last_updated", *LISTS] == list(body)
    assert (f"{updated} US/Eastern", 60) == (body["last_updated"], len(rows))
    for row in rows:
        quote = body_of(provider, function="GLOBAL_QUOTE", symbol=row["ticker"])["Global Quote"]
        assert (quote["06. volume"], updated[:10]) == (row["volume"], quote["07. latest trading day"])
        assert (float(quote["05. price"]), float(quote["09. change"])) == (
            float(row["price"]),
            float(row["change_amount"]),
        )
        assert float(quote["10. change percent"][:-1]) == float(row["change_percentage"][:-1])


def test_the_movers_are_those_of_the_whole_market() -> None:
    body = body_of(function="TOP_GAINERS_LOSERS")
    symbols = [s.symbol for s in UNIVERSE.values() if s.region == "United States" and not s.dead]
    quotes = [body_of(function="GLOBAL_QUOTE", symbol=symbol)["Global Quote"] for symbol in symbols]
    by_change = sorted(quotes, key=lambda quote: float(quote["10. change percent"][:-1]))
    by_volume = sorted(quotes, key=lambda quote: -int(quote["06. volume"]))

    assert [q["01. symbol"] for q in by_change[:20]] == [row["ticker"] for row in body["top_losers"]]
    assert [q["01. symbol"] for q in by_change[:-21:-1]] == [row["ticker"] for row in body["top_gainers"]]
    assert [q["01. symbol"] for q in by_volume[:20]] == [row["ticker"] for row in body["most_actively_traded"]]


def test_numbers_of_movers_have_no_zeros_at_their_ends() -> None:
    body = body_of(function="TOP_GAINERS_LOSERS")
    texts = [row[name].rstrip("%") for kind in LISTS for row in body[kind] for name in list(row)[1:4]]

    assert all(text == str(float(text)) for text in texts)
