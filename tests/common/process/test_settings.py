"""What the environment says: defaults, what depends on what, and which wrong values are refused in which words."""

from datetime import timedelta

import pytest

from common.core.limits import PLANS, parse_limits
from common.errors import InvalidSettings
from common.process.settings import Settings
from common.process.signing_keys import DEVELOPMENT_SECRET, SAMPLE_SECRETS

DATABASE = "postgresql://quotewell:CANARY-DATABASE@db.test/quotewell"
REDIS = "redis://:CANARY-REDIS@redis.test:6379/0"
SECRET = "CANARY-JWT-" + "0123456789abcdefghijkl"
KEY = "CANARY-PROVIDER-KEY"
STORES = {"DATABASE_URL": DATABASE, "REDIS_URL": REDIS}
DEVELOPMENT = {**STORES, "QUOTEWELL_ENV": "development"}
PRODUCTION = {**STORES, "JWT_SECRET_KEY": SECRET}


def refusal_of(env: dict[str, str], *, serves_tokens: bool = False) -> str:
    with pytest.raises(InvalidSettings) as caught:
        Settings.from_env(env, serves_tokens=serves_tokens)
    return str(caught.value)


def test_with_nothing_but_stores_the_simulator_is_asked_at_the_standard_plans_pace() -> None:
    settings = Settings.from_env(DEVELOPMENT, serves_tokens=True)

    assert {
        "environment": "development",
        "host": "127.0.0.1",
        "port": 5001,
        "database_url": DATABASE,
        "redis_url": REDIS,
        "provider_key": "simulator",
        "provider_base_url": "http://127.0.0.1:5002",
        "simulated": True,
        "source": "simulated",
        "limits": PLANS["standard"].limits,
        "provider_data": "realtime",
        "provider_timeout": timedelta(seconds=10),
        "market_hours": "always",
        "simulator_port": 5002,
        "jwt_secret": DEVELOPMENT_SECRET,
        "access_token_ttl": timedelta(hours=1),
        "log_level": "INFO",
        "quote_ttl": timedelta(seconds=60),
        "miss_wait": timedelta(seconds=12),
        "max_watchlist_size": 50,
        "overview_symbols": ("AAPL", "GOOGL", "MSFT", "TSLA", "AMZN", "META", "NVDA", "NFLX"),
        "interactive_share": 0.8,
        "quota_interactive_share": 0.2,
        "stranger_share": 0.2,
        "trial_share": 0.05,
        "bcrypt_cost": 12,
    }.items() <= {name: getattr(settings, name) for name in dir(settings) if not name.startswith("_")}.items()


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, ("simulated", "http://127.0.0.1:5002", "1/1s,5/1min", "realtime", "always")),
        ({"SIMULATOR_PORT": "6000"}, ("simulated", "http://127.0.0.1:6000", "1/1s,5/1min", "realtime", "always")),
        (
            {"ALPHA_VANTAGE_BASE_URL": "http://sim.test:1"},
            ("simulated", "http://sim.test:1", "1/1s,5/1min", "realtime", "always"),
        ),
        (
            {"ALPHA_VANTAGE_API_KEY": KEY},
            ("alphavantage", "https://www.alphavantage.co", "1/2s,5/1min,25/1d", "end_of_day", "nyse"),
        ),
        (
            {"ALPHA_VANTAGE_API_KEY": KEY, "ALPHA_VANTAGE_BASE_URL": "https://proxy.test"},
            ("alphavantage", "https://proxy.test", "1/2s,5/1min,25/1d", "end_of_day", "nyse"),
        ),
        (
            {"ALPHA_VANTAGE_API_KEY": KEY, "ALPHA_VANTAGE_PLAN": "premium-75"},
            ("alphavantage", "https://www.alphavantage.co", "10/1s,75/1min", "realtime", "nyse"),
        ),
        (
            {"ALPHA_VANTAGE_API_KEY": KEY, "PROVIDER_LIMITS": "5/min"},  # the limits alone, not the plan
            ("alphavantage", "https://www.alphavantage.co", "5/1min", "end_of_day", "nyse"),
        ),
        (
            {"ALPHA_VANTAGE_API_KEY": KEY, "PROVIDER_DATA": "delayed", "MARKET_HOURS": "always"},
            ("alphavantage", "https://www.alphavantage.co", "1/2s,5/1min,25/1d", "delayed", "always"),
        ),
        ({"ALPHA_VANTAGE_PLAN": "free"}, ("simulated", "http://127.0.0.1:5002", "1/2s,5/1min,25/1d", "end_of_day", "always")),
        ({"MARKET_HOURS": "nyse"}, ("simulated", "http://127.0.0.1:5002", "1/1s,5/1min", "realtime", "nyse")),
        (
            {"ALPHA_VANTAGE_API_KEY": "  ", "PROVIDER_LIMITS": "", "ALPHA_VANTAGE_PLAN": "", "MARKET_HOURS": ""},
            ("simulated", "http://127.0.0.1:5002", "1/1s,5/1min", "realtime", "always"),
        ),
    ],
)  # fmt: skip
def test_the_key_decides_what_the_rest_defaults_to(env: dict[str, str], expected: tuple[str, ...]) -> None:
    settings = Settings.from_env({**DEVELOPMENT, **env})

    assert expected == (
        settings.source,
        settings.provider_base_url,
        ",".join(map(str, settings.limits)),
        settings.provider_data,
        settings.market_hours,
    )


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("PORT", "0", "port", 0),
        ("PORT", " 8080 ", "port", 8080),
        ("PORT", "", "port", 5001),
        ("HOST", "10.0.0.1", "host", "10.0.0.1"),
        ("ACCESS_TOKEN_TTL", "90", "access_token_ttl", timedelta(seconds=90)),
        ("LOGIN_DAYS", "", "login_ttl", timedelta(days=90)),
        ("LOGIN_DAYS", "0.5", "login_ttl", timedelta(hours=12)),
        ("QUOTE_TTL", "1.5", "quote_ttl", timedelta(seconds=1.5)),
        ("MISS_WAIT", "0", "miss_wait", timedelta(0)),
        ("PROVIDER_TIMEOUT", "3", "provider_timeout", timedelta(seconds=3)),
        ("MAX_WATCHLIST_SIZE", "10", "max_watchlist_size", 10),
        ("INTERACTIVE_SHARE", "0.99", "interactive_share", 0.99),
        ("QUOTA_INTERACTIVE_SHARE", "0.5", "quota_interactive_share", 0.5),
        ("STRANGER_SHARE", "0.1", "stranger_share", 0.1),
        ("TRIAL_SHARE", "0.01", "trial_share", 0.01),
        ("LOG_LEVEL", "DEBUG", "log_level", "DEBUG"),
        ("REGISTRATION", "", "registration_open", True),
        ("REGISTRATION", "open", "registration_open", True),
        ("REGISTRATION", "closed", "registration_open", False),
        ("REGISTRATION_LIMIT", "3", "registration_limit", 3),
        ("SMTP_URL", "", "smtp_url", ""),
        ("MAIL_FROM", " Quotes <quotes@example.org> ", "mail_from", "Quotes <quotes@example.org>"),
        ("PUBLIC_URL", "https://quotes.example.org/", "public_url", "https://quotes.example.org"),
        ("PUBLIC_URL", "http://localhost:5001", "public_url", "http://localhost:5001"),
        ("OVERVIEW_SYMBOLS", "aapl, brk.b,AAPL", "overview_symbols", ("AAPL", "BRK-B")),
        ("PROVIDER_LIMITS", "25/d,5/min", "limits", parse_limits("5/1min,25/1d", "limits")),
        ("ALPHA_VANTAGE_BASE_URL", "http://h:1/", "provider_base_url", "http://h:1"),
        ("ALPHA_VANTAGE_BASE_URL", "http://h:1/query", "provider_base_url", "http://h:1"),
        ("ALPHA_VANTAGE_BASE_URL", "https://h/av/", "provider_base_url", "https://h/av"),
        ("DATABASE_URL", "postgres://h/d", "database_url", "postgres://h/d"),
        ("REDIS_URL", "rediss://h", "redis_url", "rediss://h?ssl_cert_reqs=required"),
    ],
)
def test_a_setting_is_read(name: str, text: str, field: str, value: object) -> None:
    assert value == getattr(Settings.from_env({**DEVELOPMENT, name: text}), field)


@pytest.mark.parametrize(
    ("plan", "data", "entitlement"),
    [
        *((plan, "", "realtime") for plan in PLANS if plan.startswith("premium")),
        ("premium-75", "realtime", "realtime"),
        ("premium-75", "delayed", "delayed"),
        ("premium-75", "end_of_day", ""),
        *((plan, data, "") for plan in ("free", "standard", "") for data in ("realtime", "delayed", "end_of_day", "")),
    ],
)
def test_a_plan_that_is_sold_with_an_entitlement_claims_the_one_that_the_data_need(
    plan: str, data: str, entitlement: str
) -> None:
    env = {**STORES, "ALPHA_VANTAGE_API_KEY": KEY, "ALPHA_VANTAGE_PLAN": plan, "PROVIDER_DATA": data}

    assert entitlement == Settings.from_env(env).entitlement


def test_an_empty_host_counts_as_unset() -> None:
    assert Settings.from_env({**DEVELOPMENT, "HOST": ""}).host == "127.0.0.1"


@pytest.mark.parametrize(
    ("env", "url"),
    [
        ({"REDIS_HOST": "h"}, "redis://h:6379/0"),
        ({"REDIS_HOST": "h", "REDIS_PORT": "7000"}, "redis://h:7000/0"),
        ({"REDIS_HOST": "h", "REDIS_URL": "redis://other"}, "redis://other"),
        ({"REDIS_HOST": "h", "REDIS_URL": ""}, "redis://h:6379/0"),
    ],
)
def test_redis_is_named_by_its_url_or_by_host_and_port(env: dict[str, str], url: str) -> None:
    assert url == Settings.from_env({"DATABASE_URL": DATABASE, "QUOTEWELL_ENV": "testing", **env}).redis_url


@pytest.mark.parametrize(
    ("name", "text", "expectation"),
    [
        ("QUOTEWELL_ENV", "prod", "expected one of development, testing, production, not 'prod'"),
        ("QUOTEWELL_ENV", "Production", "expected one of development, testing, production, not 'Production'"),
        ("PORT", "http", "expected a number from 0 to 65535, not 'http'"),
        ("PORT", "65536", "expected a number from 0 to 65535, not '65536'"),
        ("PORT", "-1", "expected a number from 0 to 65535, not '-1'"),
        ("PORT", "5001.5", "expected a number from 0 to 65535, not '5001.5'"),
        ("SIMULATOR_PORT", "0", "expected a number from 1 to 65535, not '0'"),
        ("ALPHA_VANTAGE_PLAN", "gold", "expected one of free, standard, premium-75,"),
        ("PROVIDER_LIMITS", "5 per minute", "expected rules such as 5/min or 1/2s,5/1min,25/1d, not '5 per minute'"),
        ("PROVIDER_LIMITS", "5/min,6/min", "expected one rule a period, not '5/min,6/min'"),
        ("PROVIDER_LIMITS", " ", "expected rules such as 5/min"),
        ("PROVIDER_DATA", "live", "expected one of realtime, delayed, end_of_day, not 'live'"),
        ("PROVIDER_TIMEOUT", "0.5", "expected a number from 1 to 10, not '0.5'"),
        ("PROVIDER_TIMEOUT", "11", "expected a number from 1 to 10, not '11'"),  # the lease is 12
        ("PROVIDER_TIMEOUT", "nan", "expected a number from 1 to 10, not 'nan'"),
        ("MARKET_HOURS", "lse", "expected one of nyse, always, not 'lse'"),
        ("ACCESS_TOKEN_TTL", "59", "expected a number from 60 to 86400, not '59'"),
        ("ACCESS_TOKEN_TTL", "1h", "expected a number from 60 to 86400, not '1h'"),
        ("LOGIN_DAYS", "0", "expected a number from 0.001 to 36500, not '0'"),
        ("REGISTRATION", "off", "expected one of open, closed, not 'off'"),
        ("REGISTRATION_LIMIT", "0", "expected a number from 1 to 1000000000, not '0'"),
        ("MAIL_FROM", "Quotes", "expected an address such as quotes@example.com, not 'Quotes'"),
        ("MAIL_FROM", "a@b@c", "expected an address such as quotes@example.com, not 'a@b@c'"),
        ("PUBLIC_URL", "quotes.example.org", "expected http(s)://host[:port], not 'quotes.example.org'"),
        ("PUBLIC_URL", "https://exämple.org", "expected http(s)://host[:port], not 'https://exämple.org'"),
        ("LOG_LEVEL", "debug", "expected one of DEBUG, INFO, WARNING, ERROR, not 'debug'"),
        ("QUOTE_TTL", "0", "expected a number from 1 to 86400, not '0'"),
        ("QUOTE_TTL", "inf", "expected a number from 1 to 86400, not 'inf'"),
        ("MISS_WAIT", "21", "expected a number from 0 to 20, not '21'"),
        ("MISS_WAIT", "-1", "expected a number from 0 to 20, not '-1'"),
        ("MAX_WATCHLIST_SIZE", "0", "expected a number from 1 to 10000, not '0'"),
        ("OVERVIEW_SYMBOLS", "AAPL,,MSFT", "expected a symbol of 1 to 20 characters"),
        ("OVERVIEW_SYMBOLS", "A B", "expected a symbol of 1 to 20 characters"),
        ("INTERACTIVE_SHARE", "0", "expected a share above 0 and below 1, not '0'"),
        ("INTERACTIVE_SHARE", "1", "expected a share above 0 and below 1, not '1'"),
        ("INTERACTIVE_SHARE", "1.1", "expected a number from 0 to 1, not '1.1'"),
        ("QUOTA_INTERACTIVE_SHARE", "two", "expected a number from 0 to 1, not 'two'"),
        ("STRANGER_SHARE", "0", "expected a share above 0 and below 1, not '0'"),
        ("STRANGER_SHARE", "1", "expected a share above 0 and below 1, not '1'"),
        ("TRIAL_SHARE", "1", "expected a share above 0 and below 1, not '1'"),
        ("TRIAL_SHARE", "-0.1", "expected a number from 0 to 1, not '-0.1'"),
        ("ALPHA_VANTAGE_BASE_URL", "alphavantage.co", "expected http(s)://host[:port] without /query"),
        ("ALPHA_VANTAGE_BASE_URL", "ftp://h", "expected http(s)://host[:port] without /query"),
        ("ALPHA_VANTAGE_BASE_URL", "http://", "expected http(s)://host[:port] without /query"),
        ("ALPHA_VANTAGE_BASE_URL", "http://h/query?x=1", "expected http(s)://host[:port] without /query"),
        ("ALPHA_VANTAGE_BASE_URL", "http://[::1", "expected http(s)://host[:port] without /query"),
        ("ALPHA_VANTAGE_BASE_URL", "http://h:port", "expected http(s)://host[:port] without /query"),
        ("ALPHA_VANTAGE_BASE_URL", "http://h:99999", "expected http(s)://host[:port] without /query"),
        ("DATABASE_URL", "mysql://u:p@h/d", "expected a URL that starts with postgres: or postgresql:"),
        ("DATABASE_URL", "db.test", "expected a URL that starts with postgres: or postgresql:"),
        ("DATABASE_URL", "postgres://[h", "expected a URL that starts with postgres: or postgresql:"),
        ("REDIS_URL", "http://h", "expected a URL that starts with redis: or rediss:"),
        ("REDIS_URL", "redis://[h", "expected a URL that starts with redis: or rediss:"),
        ("REDIS_TLS_VERIFY", "false", "expected one of on, off, not 'false'"),
        ("JWT_SECRET_KEY", "short", "expected at least 32 bytes"),
        ("JWT_SECRET_KEY", "x" * 31, "expected at least 32 bytes"),
    ],
)
def test_a_wrong_value_is_refused_by_name_and_with_what_was_expected(name: str, text: str, expectation: str) -> None:
    message = refusal_of({**DEVELOPMENT, name: text}, serves_tokens=True)

    assert message.startswith(f"{name}: {expectation}")


@pytest.mark.parametrize("environment", ["production", "testing", "development", ""])
@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL"])
@pytest.mark.parametrize("text", [None, "", "  "])
def test_an_unset_store_is_refused(environment: str, name: str, text: str | None) -> None:
    env = {**PRODUCTION, "QUOTEWELL_ENV": environment, name: text}
    message = refusal_of({name: value for name, value in env.items() if value is not None})

    assert message.startswith(f"{name}: expected a URL, not nothing")


def test_production_is_the_default() -> None:
    settings = Settings.from_env(PRODUCTION, serves_tokens=True)

    assert ("production", "0.0.0.0", SECRET) == (settings.environment, settings.host, settings.jwt_secret)


@pytest.mark.parametrize(
    ("environment", "limit"), [("production", 10), ("", 10), ("development", 60_000), ("testing", 60_000)]
)
def test_registration_is_open_by_default_and_limited_where_it_counts(environment: str, limit: int) -> None:
    settings = Settings.from_env({**PRODUCTION, "QUOTEWELL_ENV": environment})

    assert (True, limit) == (settings.registration_open, settings.registration_limit)


@pytest.mark.parametrize("secret", ["", "short", "x" * 31, *SAMPLE_SECRETS, DEVELOPMENT_SECRET])
def test_production_refuses_a_weak_or_a_known_secret_and_does_not_repeat_it(secret: str) -> None:
    message = refusal_of({**PRODUCTION, "JWT_SECRET_KEY": secret}, serves_tokens=True)

    assert message.startswith("JWT_SECRET_KEY: expected ")
    assert not secret or secret not in message


def test_the_samples_of_a_secret_are_long_enough_to_be_refused_as_samples() -> None:
    assert all(len(secret) >= 32 for secret in SAMPLE_SECRETS | {DEVELOPMENT_SECRET})


@pytest.mark.parametrize("env", [STORES, {**STORES, "JWT_SECRET_KEY": "short"}])
def test_a_process_that_serves_no_tokens_needs_no_secret(env: dict[str, str]) -> None:
    assert Settings.from_env(env).jwt_secret == ""


def test_no_secret_is_shown() -> None:
    settings = Settings.from_env({**PRODUCTION, "ALPHA_VANTAGE_API_KEY": KEY}, serves_tokens=True)

    assert (KEY, SECRET, DATABASE, REDIS) == (
        settings.provider_key,
        settings.jwt_secret,
        settings.database_url,
        settings.redis_url,
    )
    assert "CANARY" not in f"{settings!r} {settings}"


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL"])
def test_a_wrong_store_url_is_not_repeated_for_it_holds_a_password(name: str) -> None:
    assert "CANARY" not in refusal_of({**PRODUCTION, name: "mysql://root:CANARY@h/d"})


def test_the_account_is_a_short_hash_that_differs_by_key_and_by_provider() -> None:
    envs = [
        DEVELOPMENT,
        {**DEVELOPMENT, "ALPHA_VANTAGE_BASE_URL": "http://other"},
        {**DEVELOPMENT, "ALPHA_VANTAGE_API_KEY": KEY},
        {**DEVELOPMENT, "ALPHA_VANTAGE_API_KEY": KEY + "2"},
    ]
    accounts = [Settings.from_env(env).account for env in envs]

    assert 4 == len(set(accounts))
    assert all(len(account) == 12 and KEY not in account for account in accounts)
    assert accounts == [Settings.from_env(env).account for env in envs]


@pytest.mark.parametrize(("environment", "cost"), [("testing", 4), ("development", 12), ("production", 12)])
def test_only_tests_spare_the_rounds_of_bcrypt(environment: str, cost: int) -> None:
    assert cost == Settings.from_env({**PRODUCTION, "QUOTEWELL_ENV": environment}).bcrypt_cost


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ("production", (True, (), 1200, 240, 60, 10)),
        ("testing", (False, (), 60_000, 60_000, 60_000, 60_000)),
        ("development", (False, ("http://localhost:*", "http://127.0.0.1:*"), 60_000, 60_000, 60_000, 60_000)),
    ],
)
def test_production_is_stricter_with_clients(environment: str, expected: tuple[object, ...]) -> None:
    settings = Settings.from_env({**PRODUCTION, "QUOTEWELL_ENV": environment})

    assert expected == (
        settings.refuses_common_passwords,
        settings.cors_origins,
        settings.client_limit,
        settings.search_limit,
        settings.login_limit,
        settings.registration_limit,
    )


@pytest.mark.parametrize(
    "origins",
    [
        "app.example.com",
        "https://app.example.com/",
        "*",
        "null",
        "https://a b",
        "ftp://a",
        "file://",
        "ws://a",
        "https://*",
        "https://*.com",
        "https://*.*.example.com",
        "https://a*.example.com",
        "https://a.*.example.com",
        "https://*example.com",
        "https://*.168.1.1",
        "https://*.example.com/",
        "*.example.com",
        "capacitor://*",
        "capacitor://*.example.com",
        "*://localhost",
        "capacitor://",
        "capacitor:localhost",
    ],
)
def test_what_is_no_origin_is_refused(origins: str) -> None:
    assert f"CORS_ORIGINS: expected origins such as https://app.example.com, not {origins!r}" == refusal_of(
        {**PRODUCTION, "CORS_ORIGINS": origins}
    )


def test_origins_may_be_of_apps_and_have_a_wildcard_for_one_label() -> None:
    listed = (
        "https://app.example.com",
        "https://*.example.com",
        "http://*.dev.example.com:*",
        "https://[::1]:8443",
        "capacitor://localhost",
        "ionic://localhost",
        "tauri://localhost",
        "app://.",
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
    )

    assert listed == Settings.from_env({**PRODUCTION, "CORS_ORIGINS": " , ".join(listed)}).cors_origins


def test_a_previous_key_is_as_long_as_a_present_one_and_never_shown() -> None:
    settings = Settings.from_env({**PRODUCTION, "JWT_PREVIOUS_SECRET_KEY": SECRET + "2"}, serves_tokens=True)

    assert SECRET + "2" == settings.jwt_previous_secret
    assert SECRET not in repr(settings)
    assert "JWT_PREVIOUS_SECRET_KEY: expected at least 32 bytes, or nothing" == refusal_of(
        {**PRODUCTION, "JWT_PREVIOUS_SECRET_KEY": "short"}, serves_tokens=True
    )


@pytest.mark.parametrize(
    "url", ["postgresql://u:p@one:5432,two:5433/db", "postgres://u:p@[::1]:5432/db", "postgres:///db?host=/run"]
)
def test_several_hosts_or_a_socket_are_an_address(url: str) -> None:
    assert url == Settings.from_env({**STORES, "DATABASE_URL": url}).database_url


@pytest.mark.parametrize(
    "url", ["postgres://u:CANARY/x@h/db", "postgres://u:CANARY#x@h/db", "postgres://u:p@h:CANARY/db"]
)
def test_an_address_that_would_be_misread_is_refused_without_being_told(url: str) -> None:
    refusal = refusal_of({**DEVELOPMENT, "DATABASE_URL": url})

    assert refusal.startswith("DATABASE_URL: expected a URL")
    assert "CANARY" not in refusal


@pytest.mark.parametrize("secret", sorted(SAMPLE_SECRETS | {DEVELOPMENT_SECRET}))
def test_a_known_key_is_refused_as_the_previous_one_too(secret: str) -> None:
    refusal = refusal_of({**PRODUCTION, "JWT_PREVIOUS_SECRET_KEY": secret}, serves_tokens=True)

    assert "JWT_PREVIOUS_SECRET_KEY: expected a secret of your own, not the sample's" == refusal


@pytest.mark.parametrize(
    "url",
    [
        "smtp://mail.test",
        "smtps://ada:CANARY@mail.test:465",
        "smtp://ada%40example.org:CANARY%2F%3F%23%40@mail.test:587/",
        "smtp://[::1]:25",
    ],
)
def test_a_mail_server_is_read_as_given_and_not_shown(url: str) -> None:
    settings = Settings.from_env({**DEVELOPMENT, "SMTP_URL": url, "MAIL_FROM": "quotes@example.org"})

    assert url == settings.smtp_url
    assert "CANARY" not in repr(settings)


@pytest.mark.parametrize(
    "url",
    [
        "mail.test",
        "http://mail.test",
        "smtp://",
        "smtp://ada:CANARY@mail.test:mail",
        "smtp://ada:CANARY/x@mail.test",
        "smtp://ada:CANARY@x@mail.test",
        "smtp://ada:CANARY?x@mail.test",
        "smtp://mail.test/inbox",
    ],
)
def test_a_wrong_mail_server_is_refused_without_its_password(url: str) -> None:
    refusal = refusal_of({**DEVELOPMENT, "SMTP_URL": url, "MAIL_FROM": "quotes@example.org"})

    assert refusal.startswith("SMTP_URL: expected smtp(s)://[user:password@]host[:port]; ")
    assert "CANARY" not in refusal


def test_a_mail_server_needs_a_sender() -> None:
    assert refusal_of({**DEVELOPMENT, "SMTP_URL": "smtp://mail.test"}).startswith("MAIL_FROM: expected an address")
