"""How a simulator behaves, as one frozen value, and how the environment says so. It starts nothing."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from common.core.limits import Rule, parse_limits
from common.errors import InvalidSettings

UNKNOWN_FORMS = ("empty_quote", "empty_object", "error_message")
DEFAULT_LIMITS = "1/1s,5/1min"


class WrongSetting(Exception):
    """Mend the setting that the message names."""


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
    """Read the environment; raises WrongSetting. An empty value counts as unset."""
    limits = "SIMULATOR_LIMITS" if env.get("SIMULATOR_LIMITS") else "PROVIDER_LIMITS"
    return Config(
        limits=read_limits(env.get(limits) or DEFAULT_LIMITS, limits),
        latency=_latency(env.get("SIMULATOR_LATENCY") or "0.05"),
        seed=_whole(env, "SIMULATOR_SEED", 1, range(1 << 63)),
        entitled=_yes(env.get("SIMULATOR_ENTITLED") or "0"),
        unknown=_form(env.get("SIMULATOR_UNKNOWN") or UNKNOWN_FORMS[0]),
        extra_symbols=_whole(env, "SIMULATOR_EXTRA_SYMBOLS", 0, range(100_001)),
        dead_symbols=_symbols(env.get("SIMULATOR_DEAD_SYMBOLS") or ""),
        host=env.get("HOST") or "127.0.0.1",
        port=_whole(env, "SIMULATOR_PORT", 5002, range(1, 65_536)),
    )


def read_limits(text: str, name: str) -> tuple[Rule, ...]:
    """Rules such as `1/1s,5/1min`; raises WrongSetting in the name of `name`."""
    try:
        return parse_limits(text, name)
    except InvalidSettings as error:
        raise WrongSetting(str(error)) from error


def _latency(text: str) -> tuple[float, float]:
    try:
        least, _, most = text.partition("-")
        latency = float(least), float(most or least)
    except ValueError:
        latency = (-1.0, -1.0)
    if not 0 <= latency[0] <= latency[1] < 3600:
        raise WrongSetting(f"SIMULATOR_LATENCY: expected seconds such as 0.05 or 0.05-0.3, not {text!r}")
    return latency


def _whole(env: Mapping[str, str], name: str, default: int, allowed: range) -> int:
    text = env.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) in allowed):
        raise WrongSetting(f"{name}: expected a whole number from {allowed[0]} to {allowed[-1]}, not {text!r}")
    return int(text)


def _yes(text: str) -> bool:
    if text not in ("0", "1"):
        raise WrongSetting(f"SIMULATOR_ENTITLED: expected 0 or 1, not {text!r}")
    return text == "1"


def _form(text: str) -> str:
    if text not in UNKNOWN_FORMS:
        raise WrongSetting(f"SIMULATOR_UNKNOWN: expected one of {', '.join(UNKNOWN_FORMS)}, not {text!r}")
    return text


def _symbols(text: str) -> frozenset[str]:
    symbols = frozenset(part.strip().upper() for part in text.split(",") if part.strip())
    wrong = sorted(symbol for symbol in symbols if len(symbol) > 20 or not symbol.isascii() or " " in symbol)
    if wrong:
        raise WrongSetting(f"SIMULATOR_DEAD_SYMBOLS: expected symbols such as ACME,BRK-C, not {wrong[0]!r}")
    return symbols
