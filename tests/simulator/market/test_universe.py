from simulator.market.universe import US, load_universe

UNIVERSE = load_universe(seed=1)


def test_the_universe_holds_hundreds_of_us_listings_and_a_few_foreign_ones() -> None:
    american = [security for security in UNIVERSE.values() if security.region == US]

    assert len(american) >= 400
    assert {"NYSE", "NASDAQ", "NYSE ARCA"} == {security.exchange for security in american}
    assert {"Stock", "ETF"} == {security.kind for security in american}
    assert {"AAPL", "GOOGL", "GOOG", "BRK-A", "BRK-B", "BF-B", "SPY", "QQQ"} <= set(UNIVERSE)
    assert {"TSCO.LON", "SHOP.TRT", "600104.SHH", "M&M.BSE"} <= set(UNIVERSE) - {s.symbol for s in american}


def test_every_security_is_plausible() -> None:
    assert all(s.walk.base_price > 1 and 0.01 <= s.walk.volatility < 1 and s.name for s in UNIVERSE.values())
    assert len({s.walk.key for s in UNIVERSE.values()}) == len(UNIVERSE)


def test_extra_symbols_are_added_on_top() -> None:
    universe = load_universe(seed=1, extra=1000)

    assert len(universe) == len(UNIVERSE) + 1000
    assert {"SIM0001", "SIM1000"} <= set(universe)


def test_a_dead_symbol_is_listed_whether_it_was_known_or_not() -> None:
    universe = load_universe(seed=1, dead=["IBM", "GONE"])

    assert ["GONE", "IBM"] == [symbol for symbol, security in universe.items() if security.dead]
