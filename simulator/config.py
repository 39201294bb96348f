"""How a simulator behaves, as one frozen value, and how the environment says so. It starts nothing."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from common.core.limits import Rule, parse_limits
from common.errors import InvalidSettings
from common.process.environment import choice, number

UNKNOWN_FORMS = ("empty_quote", "empty_object", "error_message")
DEFAULT_LIMITS = "1/1s,5/1min"
MAX_LATENCY = 3600  # seconds


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Config:
    """`latency` is the least and the most seconds before an answer; `now` (aware) moves prices, `monotonic` (seconds) judges limits.

    `unknown` is the form in which GLOBAL_QUOTE denies a symbol, one of UNKNOWN_FORMS. `host` and `port` are for `python -m simulator`.
    """

    limits: tuple[Rule, ...] = parse_limits(DEFAULT_LIMITS, "limits")
    latency: tuple[float, float] = (0.0, 0.0)
    seed: int = 1
    entitled: bool = False
    unknown: str = "empty_quote"
    extra_symbols: int = 0
    dead_symbols: frozenset[str] = frozenset()
    now: Callable[[], datetime] = _now
    monotonic: Callable[[], float] = time.monotonic
    host: str = "127.0.0.1"
    port: int = 5002


def from_env(env: Mapping[str, str]) -> Config:
    """Read the environment; raises InvalidSettings. An empty value counts as unset."""
    limits = "SIMULATOR_LIMITS" if env.get("SIMULATOR_LIMITS") else "PROVIDER_LIMITS"
    return Config(
        limits=parse_limits(env.get(limits) or DEFAULT_LIMITS, limits),
        latency=_latency(env.get("SIMULATOR_LATENCY") or "0.05"),
        seed=number(env, "SIMULATOR_SEED", int, 1, 0, (1 << 63) - 1),
        entitled=choice(env, "SIMULATOR_ENTITLED", ("0", "1"), "0") == "1",
        unknown=choice(env, "SIMULATOR_UNKNOWN", UNKNOWN_FORMS, UNKNOWN_FORMS[0]),
        extra_symbols=number(env, "SIMULATOR_EXTRA_SYMBOLS", int, 0, 0, 100_000),
        dead_symbols=_symbols(env.get("SIMULATOR_DEAD_SYMBOLS") or ""),
        host=env.get("HOST") or "127.0.0.1",
        port=number(env, "SIMULATOR_PORT", int, 5002, 1, 65535),
    )


def _latency(text: str) -> tuple[float, float]:
    try:
        least, _, most = text.partition("-")
        latency = float(least), float(most or least)
    except ValueError:
        latency = (-1.0, -1.0)
    if not 0 <= latency[0] <= latency[1] < MAX_LATENCY:
        raise InvalidSettings(f"SIMULATOR_LATENCY: expected seconds such as 0.05 or 0.05-0.3, not {text!r}")
    return latency


def _symbols(text: str) -> frozenset[str]:
    symbols = frozenset(part.strip().upper() for part in text.split(",") if part.strip())
    wrong = sorted(symbol for symbol in symbols if len(symbol) > 20 or not symbol.isascii() or " " in symbol)
    if wrong:
        raise InvalidSettings(f"SIMULATOR_DEAD_SYMBOLS: expected symbols such as ACME,BRK-C, not {wrong[0]!r}")
    return symbols
