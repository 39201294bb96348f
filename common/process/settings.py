"""All settings, read from the environment once at start into one frozen value. `InvalidSettings` names a wrong one.

Every field has a row in README's table; a test compares them.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from common.core.limits import LEASE, PLANS, Rule, longest_period, parse_limits
from common.errors import InvalidSettings
from common.process.environment import (
    base_url,
    choice,
    database_url,
    days,
    mail_sender,
    number,
    origins,
    redis_url,
    seconds,
    share,
    site_url,
    smtp_url,
    symbols,
)
from common.process.signing_keys import previous_key, signing_key

ENVIRONMENTS = ("development", "testing", "production")
PROVIDER_DATA = ("realtime", "delayed", "end_of_day")
MARKET_HOURS = ("nyse", "always")
MAX_ACCESS_TTL = timedelta(days=1)  # also how long an ended login is remembered
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
ALPHA_VANTAGE = "https://www.alphavantage.co"
OVERVIEW = "AAPL,GOOGL,MSFT,TSLA,AMZN,META,NVDA,NFLX"
NO_KEYS: dict[str, Any] = dict.fromkeys(("jwt_secret", "jwt_previous_secret"), "")  # of a process that serves no tokens
ANY_LOCAL_PORT = "http://localhost:*,http://127.0.0.1:*"


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. Secrets are left out of `repr`."""

    environment: str
    host: str
    port: int
    metrics_port: int  # 0: no metrics
    worker_metrics_port: int
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
    jwt_previous_secret: str = field(repr=False)
    access_token_ttl: timedelta
    login_ttl: timedelta
    min_password_length: int
    refuses_common_passwords: bool
    cors_origins: tuple[str, ...]
    trusted_proxies: int
    connection_limit: int
    stream_limit: int
    client_limit: int
    search_limit: int
    login_limit: int
    public_reads: bool  # quotes, searches, charts and streams need no token
    registration_open: bool
    registration_limit: int
    smtp_url: str = field(repr=False)  # empty: no mail is sent
    mail_from: str
    public_url: str
    log_level: str
    quote_ttl: timedelta
    search_ttl: timedelta
    chart_ttl: timedelta
    miss_wait: timedelta
    max_watchlist_size: int
    overview_symbols: tuple[str, ...]
    interactive_share: float
    quota_interactive_share: float
    stranger_share: float
    trial_share: float
    bulk: bool
    reads_half_life: timedelta
    journal_kept: timedelta
    history_kept: timedelta
    audit_kept: timedelta

    @property
    def bcrypt_cost(self) -> int:
        """bcrypt runs 2**cost rounds; tests use its minimum."""
        return 4 if self.environment == "testing" else 12

    @property
    def entitlement(self) -> str:
        """The entitlement sent with a call: `realtime`, `delayed`, or nothing for end-of-day prices."""
        return self.provider_data if self.bulk and self.provider_data != "end_of_day" else ""

    @property
    def source(self) -> str:
        """The source of prices, as answers name it: `alphavantage` or `simulated`."""
        return "simulated" if self.simulated else "alphavantage"

    @property
    def account(self) -> str:
        """The account that the ledger counts calls for: a short hash of provider and key."""
        return hashlib.sha256(f"{self.provider_base_url}\n{self.provider_key}".encode()).hexdigest()[:12]

    @classmethod
    def from_env(cls, env: Mapping[str, str], *, serves_tokens: bool = False) -> "Settings":
        """Read every setting; raise `InvalidSettings` for the first wrong one. `serves_tokens`: the process needs the JWT secrets."""
        environment = choice(env, "QUOTEWELL_ENV", ENVIRONMENTS, "production")
        key, provider = env.get("ALPHA_VANTAGE_API_KEY", "").strip(), base_url(env, "ALPHA_VANTAGE_BASE_URL")
        simulator_port = number(env, "SIMULATOR_PORT", int, 5002, 1, 65535)
        production = environment == "production"
        host = env.get("HOST") or ("0.0.0.0" if production else "127.0.0.1")  # containers publish it  # nosec B104
        plan = _plan(env, "free" if key else "standard")
        limits = (
            parse_limits(env["PROVIDER_LIMITS"], "PROVIDER_LIMITS")
            if env.get("PROVIDER_LIMITS")
            else PLANS[plan].limits
        )
        return cls(
            environment=environment,
            host=host,
            port=number(env, "PORT", int, 5001, 0, 65535),
            metrics_port=_metrics_port(env, "METRICS_PORT"),
            worker_metrics_port=_metrics_port(env, "WORKER_METRICS_PORT"),
            database_url=database_url(env),
            redis_url=redis_url(env),
            provider_key=key or "simulator",
            provider_base_url=provider or (ALPHA_VANTAGE if key else f"http://127.0.0.1:{simulator_port}"),
            simulated=not key,
            limits=limits,
            provider_data=choice(env, "PROVIDER_DATA", PROVIDER_DATA, PLANS[plan].data),
            provider_timeout=seconds(env, "PROVIDER_TIMEOUT", 10, 1, 10),
            market_hours=choice(env, "MARKET_HOURS", MARKET_HOURS, "nyse" if key else "always"),
            simulator_port=simulator_port,
            **(_signing_keys(env, production=production, host=host) if serves_tokens else NO_KEYS),
            **_limits_of_users(env, production=production),
            **_mail(env),
            log_level=choice(env, "LOG_LEVEL", LOG_LEVELS, "INFO"),
            quote_ttl=seconds(env, "QUOTE_TTL", 60, 1, 86400),
            search_ttl=seconds(env, "SEARCH_TTL", 3600, 1, 604800),
            chart_ttl=seconds(env, "CHART_TTL", 1800, 1, 604800),
            miss_wait=seconds(env, "MISS_WAIT", 12, 0, 20),
            max_watchlist_size=number(env, "MAX_WATCHLIST_SIZE", int, 50, 1, 10_000),
            overview_symbols=symbols(env, "OVERVIEW_SYMBOLS", OVERVIEW),
            interactive_share=share(env, "INTERACTIVE_SHARE", 0.8),
            quota_interactive_share=share(env, "QUOTA_INTERACTIVE_SHARE", 0.2),
            stranger_share=share(env, "STRANGER_SHARE", 0.2),
            trial_share=share(env, "TRIAL_SHARE", 0.05),
            bulk=PLANS[plan].bulk,
            reads_half_life=timedelta(hours=number(env, "READS_HALF_LIFE", float, 24.0, 0.01, 8760)),
            journal_kept=_journal_kept(env, limits),
            history_kept=days(env, "HISTORY_DAYS", 365.0),
            audit_kept=days(env, "AUDIT_DAYS", 90.0),
        )


def _signing_keys(env: Mapping[str, str], *, production: bool, host: str) -> dict[str, Any]:
    return {
        "jwt_secret": signing_key(env, "JWT_SECRET_KEY", production=production, host=host),
        "jwt_previous_secret": previous_key(env, "JWT_PREVIOUS_SECRET_KEY", production=production, host=host),
    }


def _limits_of_users(env: Mapping[str, str], *, production: bool) -> dict[str, Any]:
    """Settings for users and their browsers; the defaults are stricter in production."""
    development = env.get("QUOTEWELL_ENV") == "development"
    common = choice(env, "COMMON_PASSWORDS", ("accept", "refuse"), "refuse" if production else "accept")
    return {
        "access_token_ttl": seconds(env, "ACCESS_TOKEN_TTL", 3600, 60, MAX_ACCESS_TTL.total_seconds()),
        "login_ttl": days(env, "LOGIN_DAYS", 90.0),
        "min_password_length": number(env, "PASSWORD_MIN_LENGTH", int, 8, 8, 64),
        "refuses_common_passwords": common == "refuse",
        "cors_origins": origins(env, "CORS_ORIGINS", ANY_LOCAL_PORT if development else ""),
        "trusted_proxies": number(env, "TRUSTED_PROXIES", int, 0, 0, 10),
        "connection_limit": number(env, "CONNECTION_LIMIT", int, 512, 1, 1e9),
        "stream_limit": number(env, "STREAM_LIMIT", int, 20, 1, 1e9),
        "client_limit": number(env, "CLIENT_LIMIT", int, 1200 if production else 60_000, 1, 1e9),
        "search_limit": number(env, "SEARCH_LIMIT", int, 240 if production else 60_000, 1, 1e9),
        "login_limit": number(env, "LOGIN_LIMIT", int, 60 if production else 60_000, 1, 1e9),
        "public_reads": choice(env, "READS", ("public", "accounts"), "public") == "public",
        "registration_open": choice(env, "REGISTRATION", ("open", "closed"), "open") == "open",
        "registration_limit": number(env, "REGISTRATION_LIMIT", int, 10 if production else 60_000, 1, 1e9),
    }


def _mail(env: Mapping[str, str]) -> dict[str, Any]:
    """How mail is sent, and where its links lead. Without a mail server the others are still checked."""
    server, sender = smtp_url(env, "SMTP_URL"), mail_sender(env, "MAIL_FROM")
    if server and not sender:
        raise InvalidSettings("MAIL_FROM: expected an address such as quotes@example.com, because SMTP_URL is set")
    return {"smtp_url": server, "mail_from": sender, "public_url": site_url(env, "PUBLIC_URL")}


def _journal_kept(env: Mapping[str, str], limits: tuple[Rule, ...]) -> timedelta:
    """How long calls are kept: at least as long as a rule may still count them."""
    kept, needed = days(env, "JOURNAL_DAYS", 30.0), longest_period(limits) + LEASE
    if kept < needed:
        raise InvalidSettings(
            f"JOURNAL_DAYS: expected more than the longest period and the lease ({needed}), not {kept}"
        )
    return kept


def _metrics_port(env: Mapping[str, str], name: str) -> int:
    """A port other than the API's, because metrics are not public."""
    port = number(env, name, int, 0, 0, 65535)
    if port and port == number(env, "PORT", int, 5001, 0, 65535):
        raise InvalidSettings(f"{name}: expected another port than that of the API, not {port}")
    return port


def _plan(env: Mapping[str, str], default: str) -> str:
    return choice(env, "ALPHA_VANTAGE_PLAN", tuple(PLANS), default)
