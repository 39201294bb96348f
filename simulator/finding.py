"""How well a security fits some keywords. Alpha Vantage's own ranking is not known; this one is merely plausible."""

from simulator.universe import Security, Universe

BEST = 10


def find(universe: Universe, keywords: str) -> list[tuple[Security, float]]:
    """The best ten with their scores, from above 0 to 1, best first."""
    wanted = keywords.strip().casefold()
    scored = [(security, _score(security, wanted)) for security in universe.values()] if wanted else []
    hits = [(security, score) for security, score in scored if score > 0]
    return sorted(hits, key=lambda hit: (-hit[1], hit[0].symbol))[:BEST]


def _score(security: Security, wanted: str) -> float:
    symbol, name = security.symbol.casefold(), security.name.casefold()
    if symbol == wanted:
        return 1.0
    if symbol.startswith(wanted):
        return 0.5 + 0.49 * len(wanted) / len(symbol)
    if name.startswith(wanted):
        return 0.5 + 0.45 * len(wanted) / len(name)
    if f" {wanted}" in name:
        return 0.5 * len(wanted) / len(name)
    return 0.0
