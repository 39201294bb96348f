"""What the environment says, read once by each entry point into one frozen value. A wrong setting is refused here, by its name.

It knows no store, no request and no clock. Every field has its line in README's table; a test holds the two together.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar
from urllib.parse import urlsplit

from common.core.limits import LEASE, PLANS, Rule, longest_period, parse_limits
from common.core.symbols import normalize_symbol
from common.errors import InvalidSettings, InvalidSymbol

ENVIRONMENTS = ("development", "testing", "production")
PROVIDER_DATA = ("realtime", "delayed", "end_of_day")
MARKET_HOURS = ("nyse", "always")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
ALPHA_VANTAGE = "https://www.alphavantage.co"
SAMPLE_SECRETS = frozenset({"change-me-to-a-long-random-string-of-your-own"})
DEVELOPMENT_SECRET = "development-only-never-in-production"  # production refuses to start with it  # nosec B105
OVERVIEW = "AAPL,GOOGL,MSFT,TSLA,AMZN,META,NVDA,NFLX"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings; durations in the unit of their type, money in none. Secrets are left out of `repr`."""

    environment: str
    host: str
    port: int
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    provider_key: str = field(repr=False)
    provider_base_url: str
    simulated: bool
    limits: tuple[Rule, ...]
    provider_data: str
    provider_timeout: timedelta
    market_hours: str
    simulator_port: int
    jwt_secret: str = field(repr=False)
    access_token_ttl: timedelta
    log_level: str
    quote_ttl: timedelta
    search_ttl: timedelta
    chart_ttl: timedelta
    miss_wait: timedelta
    max_watchlist_size: int
    overview_symbols: tuple[str, ...]
    interactive_share: float
    quota_interactive_share: float
    bulk: bool
    reads_half_life: timedelta
    journal_kept: timedelta
    history_kept: timedelta

    @property
    def bcrypt_cost(self) -> int:
        """2**cost rounds a password; tests make do with the least that bcrypt takes."""
        return 4 if self.environment == "testing" else 12

    @property
    def source(self) -> str:
        """What an answer says its prices are: `alphavantage` or `simulated`."""
        return "simulated" if self.simulated else "alphavantage"

    @property
    def account(self) -> str:
        """Whose limits the ledger counts: a short hash of key and provider, never the key."""
        return hashlib.sha256(f"{self.provider_base_url}\n{self.provider_key}".encode()).hexdigest()[:12]

    @classmethod
    def from_env(cls, env: Mapping[str, str], *, serves_tokens: bool = False) -> "Settings":
        """Read every setting; raise `InvalidSettings` for the first wrong one. `serves_tokens`: this process needs the JWT secret."""
        environment = _choice(env, "QUOTEWELL_ENV", ENVIRONMENTS, "production")
        key, base_url = env.get("ALPHA_VANTAGE_API_KEY", "").strip(), _base_url(env)
        simulator_port = _number(env, "SIMULATOR_PORT", int, 5002, 1, 65535)
        plan = _plan(env, "free" if key else "standard")
        limits = (
            parse_limits(env["PROVIDER_LIMITS"], "PROVIDER_LIMITS")
            if env.get("PROVIDER_LIMITS")
            else PLANS[plan].limits
        )
        return cls(
            environment=environment,
            host=env.get("HOST") or ("0.0.0.0" if environment == "production" else "127.0.0.1"),  # a container's port  # nosec B104
            port=_number(env, "PORT", int, 5001, 0, 65535),
            database_url=_store_url(env, "DATABASE_URL", ("postgres", "postgresql")),
            redis_url=_redis_url(env),
            provider_key=key or "simulator",
            provider_base_url=base_url or (ALPHA_VANTAGE if key else f"http://127.0.0.1:{simulator_port}"),
            simulated=not key,
            limits=limits,
            provider_data=_choice(env, "PROVIDER_DATA", PROVIDER_DATA, PLANS[plan].data),
            provider_timeout=_seconds(env, "PROVIDER_TIMEOUT", 10, 1, 10),
            market_hours=_choice(env, "MARKET_HOURS", MARKET_HOURS, "nyse" if key else "always"),
            simulator_port=simulator_port,
            jwt_secret=_jwt_secret(env, environment) if serves_tokens else "",
            access_token_ttl=_seconds(env, "ACCESS_TOKEN_TTL", 3600, 60, 86400),
            log_level=_choice(env, "LOG_LEVEL", LOG_LEVELS, "INFO"),
            quote_ttl=_seconds(env, "QUOTE_TTL", 60, 1, 86400),
            search_ttl=_seconds(env, "SEARCH_TTL", 3600, 1, 604800),
            chart_ttl=_seconds(env, "CHART_TTL", 1800, 1, 604800),
            miss_wait=_seconds(env, "MISS_WAIT", 2, 0, 20),
            max_watchlist_size=_number(env, "MAX_WATCHLIST_SIZE", int, 50, 1, 10_000),
            overview_symbols=_symbols(env, "OVERVIEW_SYMBOLS", OVERVIEW),
            interactive_share=_share(env, "INTERACTIVE_SHARE", 0.8),
            quota_interactive_share=_share(env, "QUOTA_INTERACTIVE_SHARE", 0.2),
            bulk=PLANS[plan].bulk,
            reads_half_life=timedelta(hours=_number(env, "READS_HALF_LIFE", float, 24.0, 0.01, 8760)),
            journal_kept=_journal_kept(env, limits),
            history_kept=_days(env, "HISTORY_DAYS", 365.0),
        )


def _choice(env: Mapping[str, str], name: str, choices: tuple[str, ...], default: str) -> str:
    value = env.get(name) or default
    if value not in choices:
        raise InvalidSettings(f"{name}: expected one of {', '.join(choices)}, not {value!r}")
    return value


def _number(env: Mapping[str, str], name: str, kind: Callable[[str], T], default: T, low: float, high: float) -> T:
    text = env.get(name, "").strip()
    if not text:
        return default
    try:
        value = kind(text)
        if not low <= value <= high:  # type: ignore[operator]
            raise ValueError
    except ValueError:
        raise InvalidSettings(f"{name}: expected a number from {low:g} to {high:g}, not {text!r}") from None
    return value


def _seconds(env: Mapping[str, str], name: str, default: float, low: float, high: float) -> timedelta:
    return timedelta(seconds=_number(env, name, float, default, low, high))


def _share(env: Mapping[str, str], name: str, default: float) -> float:
    value = _number(env, name, float, default, 0, 1)
    if value == 0:
        raise InvalidSettings(f"{name}: expected a share above 0 and at most 1, not {env[name]!r}")
    return value


def _days(env: Mapping[str, str], name: str, default: float) -> timedelta:
    return timedelta(days=_number(env, name, float, default, 0.001, 36_500))


def _journal_kept(env: Mapping[str, str], limits: tuple[Rule, ...]) -> timedelta:
    """How long calls are remembered: never so short that a call that a rule still counts is forgotten."""
    kept, needed = _days(env, "JOURNAL_DAYS", 30.0), longest_period(limits) + LEASE
    if kept < needed:
        raise InvalidSettings(
            f"JOURNAL_DAYS: expected more than the longest period and the lease ({needed}), not {kept}"
        )
    return kept


def _symbols(env: Mapping[str, str], name: str, default: str) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(normalize_symbol(text) for text in (env.get(name) or default).split(",")))
    except InvalidSymbol as error:
        raise InvalidSettings(f"{name}: {error}") from None


def _plan(env: Mapping[str, str], default: str) -> str:
    return _choice(env, "ALPHA_VANTAGE_PLAN", tuple(PLANS), default)


def _base_url(env: Mapping[str, str]) -> str:
    url = env.get("ALPHA_VANTAGE_BASE_URL", "").strip().rstrip("/")
    if url and not _is_base_url(url):
        raise InvalidSettings("ALPHA_VANTAGE_BASE_URL: expected http(s)://host[:port] without /query")
    return url.removesuffix("/query")


def _is_base_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  raises for what is none
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query


def _store_url(env: Mapping[str, str], name: str, schemes: tuple[str, ...]) -> str:
    """A store's address, never repeated in a message: it holds a password."""
    url = env.get(name, "").strip()
    if not url:
        raise InvalidSettings(f"{name}: expected a URL, not nothing; `make run` brings stores of its own")
    if not _has_scheme(url, schemes):
        raise InvalidSettings(
            f"{name}: expected a URL that starts with {' or '.join(f'{scheme}:' for scheme in schemes)}"
        )
    return url


def _has_scheme(url: str, schemes: tuple[str, ...]) -> bool:
    try:
        return urlsplit(url).scheme in schemes
    except ValueError:
        return False


def _redis_url(env: Mapping[str, str]) -> str:
    if env.get("REDIS_URL") or not env.get("REDIS_HOST"):
        return _store_url(env, "REDIS_URL", ("redis", "rediss"))
    port = _number(env, "REDIS_PORT", int, 6379, 1, 65535)
    return f"redis://{env['REDIS_HOST']}:{port}/0"


def _jwt_secret(env: Mapping[str, str], environment: str) -> str:
    """The signing key: at least 32 bytes of the operator's own in production, a known one elsewhere."""
    secret = env.get("JWT_SECRET_KEY", "")
    if not secret and environment != "production":
        return DEVELOPMENT_SECRET
    if len(secret.encode()) < 32:
        raise InvalidSettings("JWT_SECRET_KEY: expected at least 32 bytes, such as `openssl rand -base64 32` prints")
    if environment == "production" and secret in SAMPLE_SECRETS | {DEVELOPMENT_SECRET}:
        raise InvalidSettings("JWT_SECRET_KEY: expected a secret of your own, not the sample's")
    return secret
