"""PostgreSQL's URL as hosts and other libraries write it: what each driver gets, and which option is refused by its name."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import pytest
from asyncpg.connect_utils import _parse_connect_dsn_and_args
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from common.errors import InvalidSettings
from common.process.environment import database_url
from common.store.connection.address import Address, read_address

ROOTS = "/etc/ssl/roots.pem"
CANARY = "CANARY"


def read(url: str) -> Address:
    """The address of a URL that a process starts with."""
    return read_address(database_url({"DATABASE_URL": url}), roots=lambda: ROOTS)


def to_asyncpg(address: Address) -> dict[str, Any]:
    """What the pool is opened with, its DSN's options among the rest."""
    return {**address.pool, "dsn": dict(parse_qsl(str(address.pool["dsn"]).partition("?")[2]))}


def query(options: str) -> Address:
    return read(f"postgresql://u:p@h/d?{options}")


WHERE: list[tuple[str, dict[str, object], dict[str, str]]] = [
    ("postgres://u:p@h/d", {"host": ["h"]}, {"host": "h"}),
    ("postgresql://u:p@h:6000/d", {"host": ["h"], "port": [6000]}, {"host": "h", "port": "6000"}),
    ("postgresql+asyncpg://u:p@h/d", {"host": ["h"]}, {"host": "h"}),
    ("postgresql+psycopg2://u:p@h/d", {"host": ["h"]}, {"host": "h"}),
    ("postgres://u:p@[2001:db8::1]:6000/d", {"host": ["2001:db8::1"], "port": [6000]}, {"host": "2001:db8::1", "port": "6000"}),
    ("postgres://u:p@[::1]/d", {"host": ["::1"]}, {"host": "::1"}),
    ("postgres://u:p@a:1,b:2/d", {"host": ["a", "b"], "port": [1, 2]}, {"host": "a,b", "port": "1,2"}),
    ("postgres://u:p@a,b:2/d", {"host": ["a", "b"], "port": [5432, 2]}, {"host": "a,b", "port": "5432,2"}),
    ("postgres://u:p@[::1]:1,b:2/d", {"host": ["::1", "b"], "port": [1, 2]}, {"host": "::1,b", "port": "1,2"}),
    ("postgres://u:p@/d?host=/run/postgresql", {"host": ["/run/postgresql"]}, {"host": "/run/postgresql"}),
    ("postgres://u:p@%2Frun%2Fpostgresql/d", {"host": ["/run/postgresql"]}, {"host": "/run/postgresql"}),
    ("postgres://u:p@localhost/d?host=/cloudsql/a:b:c", {"host": ["/cloudsql/a:b:c"]}, {"host": "/cloudsql/a:b:c"}),
    ("postgres://u:p@/d?host=a,b&port=1,2", {"host": ["a", "b"], "port": [1, 2]}, {"host": "a,b", "port": "1,2"}),
    ("postgres://u:p@/d?host=::1&port=1", {"host": ["::1"], "port": [1]}, {"host": "::1", "port": "1"}),
    ("postgres://u:p@/d?hostaddr=192.0.2.1", {"host": ["192.0.2.1"]}, {"host": "192.0.2.1"}),
    ("postgres:///d?user=u&password=p", {}, {}),
    ("postgres:///?user=u&password=p&dbname=d&host=h", {"host": ["h"]}, {"host": "h"}),
    ("postgres:///?user=u&password=p&database=d&host=h", {"host": ["h"]}, {"host": "h"}),
]  # fmt: skip


@pytest.mark.parametrize(("url", "asyncpg", "libpq"), WHERE, ids=[url for url, *_ in WHERE])
def test_both_drivers_ask_the_same_hosts_for_the_same_database(
    url: str, asyncpg: dict[str, object], libpq: dict[str, str]
) -> None:
    address = read(url)

    assert {"user": "u", "password": "p", "database": "d", "dsn": {}, **asyncpg} == to_asyncpg(address)
    assert {"user": "u", "password": "p", "dbname": "d", "connect_timeout": "10", **libpq} == address.libpq


@pytest.mark.parametrize("password", ["p@ss", "a/b?c#d", "100%", "a b+c", "'quoted' \\ \"", "пароль", "a:b;c,d", "[x]"])
@pytest.mark.parametrize("form", ["postgres://u:{}@h/d", "postgres://u@h/d?password={}"])
def test_a_percent_encoded_password_reaches_both_drivers_as_it_is(password: str, form: str) -> None:
    encoded = "".join(f"%{byte:02X}" for byte in password.encode())
    address = read(form.format(encoded))

    assert password == address.pool["password"]
    assert password == conninfo_to_dict(make_conninfo("", **address.libpq))["password"]


@pytest.mark.parametrize("password", ["p@ss", "a+b", "100%", "a=b"])
def test_a_password_with_a_harmless_sign_of_its_own_need_not_be_encoded(password: str) -> None:
    address = read(f"postgres://u:{password}@h/d")

    assert (password, password) == (address.pool["password"], address.libpq["password"])


TLS = {"sslmode": "verify-full", "sslrootcert": ROOTS}
OPTIONS: list[tuple[str, Mapping[str, str], Mapping[str, str]]] = [  # both drivers; psycopg alone
    ("sslmode=require&channel_binding=require", {"sslmode": "require"}, {"channel_binding": "require"}),
    ("connect_timeout=15", {}, {"connect_timeout": "15"}),
    ("connect_timeout=0", {}, {"connect_timeout": "10"}),
    ("keepalives=1&keepalives_idle=30", {}, {"keepalives": "1", "keepalives_idle": "30"}),
    ("keepalives_interval=5&keepalives_count=3", {}, {"keepalives_interval": "5", "keepalives_count": "3"}),
    ("tcp_user_timeout=9&sslsni=1&sslcompression=0", {}, {"tcp_user_timeout": "9", "sslsni": "1", "sslcompression": "0"}),
    ("gssencmode=disable", {}, {"gssencmode": "disable"}),
    ("client_encoding=utf8", {}, {"client_encoding": "utf8"}),
    ("load_balance_hosts=random", {}, {"load_balance_hosts": "random"}),
    ("require_auth=scram-sha-256", {}, {"require_auth": "scram-sha-256"}),
    ("fallback_application_name=x", {}, {"fallback_application_name": "x"}),
    ("target_session_attrs=read-write", {"target_session_attrs": "read-write"}, {}),
    ("sslmode=verify-full&sslrootcert=/a%20b.pem", {"sslmode": "verify-full", "sslrootcert": "/a b.pem"}, {}),
    ("sslmode=verify-ca&sslrootcert=/a.pem", {"sslmode": "verify-ca", "sslrootcert": "/a.pem"}, {}),
    ("sslrootcert=system", TLS, {}),
    ("sslmode=verify-full&sslrootcert=system", TLS, {}),
    ("sslcert=/c&sslkey=/k&sslcrl=/l", {"sslcert": "/c", "sslkey": "/k", "sslcrl": "/l"}, {}),
    ("ssl_min_protocol_version=TLSv1.2", {"ssl_min_protocol_version": "TLSv1.2"}, {}),
    ("sslnegotiation=direct&sslmode=require", {"sslnegotiation": "direct", "sslmode": "require"}, {}),
    ("sslmode=no-verify", {"sslmode": "require"}, {}),
    ("ssl=true", {"sslmode": "require"}, {}),
    ("ssl=require", {"sslmode": "require"}, {}),
    ("ssl=no-verify", {"sslmode": "require"}, {}),
    ("ssl=false", {}, {}),
    ("ssl=true&sslmode=prefer", {"sslmode": "prefer"}, {}),
    ("sslmode=require&sslaccept=strict", TLS, {}),
    ("sslmode=require&sslaccept=accept_invalid_certs", {"sslmode": "require"}, {}),
    ("sslmode=disable&sslaccept=strict", {"sslmode": "disable"}, {}),
    ("schema=public&connection_limit=5&pool_timeout=0&socket_timeout=3", {}, {}),
    ("sslmode=require&supa=base-pooler.x&workaround=supabase-pooler.vercel", {"sslmode": "require"}, {}),
    ("uselibpqcompat=true&sslmode=require", {"sslmode": "require"}, {}),
    ("pool_max_conns=10&statement_cache_size=0", {}, {}),
    ("sslmode=allow&sslmode=prefer", {"sslmode": "prefer"}, {}),
    ("sslmode=&application_name=", {}, {}),
    ("&&sslmode=prefer&", {"sslmode": "prefer"}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("options", "both", "libpq"), OPTIONS, ids=[options for options, *_ in OPTIONS])
def test_asyncpg_gets_the_options_that_it_knows_and_psycopg_those_of_libpq(
    options: str, both: Mapping[str, str], libpq: Mapping[str, str]
) -> None:
    address = query(options)
    where = {"host": "h", "user": "u", "password": "p", "dbname": "d"}

    assert both == to_asyncpg(address)["dsn"]
    assert {**where, "connect_timeout": "10", **both, **libpq} == address.libpq
    assert {} == address.settings
    assert not address.pooled


@pytest.mark.parametrize("options", [options for options, both, _ in OPTIONS if "/" not in "".join(both.values())])
def test_asyncpg_reads_what_it_gets_and_takes_nothing_for_a_setting_of_the_server(options: str) -> None:
    given = {**dict.fromkeys(ARGUMENTS), **query(options).pool}
    given.pop("statement_cache_size", None)
    _, parameters = _parse_connect_dsn_and_args(**given)

    assert not parameters.server_settings


ARGUMENTS = (
    "dsn", "host", "port", "user", "password", "passfile", "database", "ssl", "service", "servicefile", "direct_tls", "server_settings",
    "target_session_attrs", "krbsrvname", "gsslib",
)  # fmt: skip


@pytest.mark.parametrize(
    ("options", "settings", "libpq"),
    [
        ("application_name=x", {"application_name": "x"}, {"application_name": "x"}),
        ("ApplicationName=x", {"application_name": "x"}, {"application_name": "x"}),
        ("options=-c%20jit%3Doff", {"options": "-c jit=off"}, {"options": "-c jit=off"}),
        ("options=endpoint%3Dep-a-1", {"options": "endpoint=ep-a-1"}, {"options": "endpoint=ep-a-1"}),
        ("schema=Quotes", {"search_path": '"Quotes"'}, {"options": '-c search_path="Quotes"'}),
        ("currentSchema=a,%20b", {"search_path": "a, b"}, {"options": r"-c search_path=a,\ b"}),
        ("search_path=a%5Cb", {"search_path": r"a\b"}, {"options": r"-c search_path=a\\b"}),
        (
            "statement_timeout=5000&options=-c%20jit%3Doff",
            {"options": "-c jit=off", "statement_timeout": "5000"},
            {"options": "-c jit=off -c statement_timeout=5000"},
        ),
    ],
)
def test_a_setting_of_the_session_reaches_the_server_by_either_driver(
    options: str, settings: dict[str, str], libpq: dict[str, str]
) -> None:
    address = query(options)

    assert settings == address.settings
    assert libpq == {name: address.libpq[name] for name in ("options", "application_name") if name in address.libpq}


POOLED = {"statement_cache_size": 0}


@pytest.mark.parametrize(
    ("url", "pooled", "cache"),
    [
        ("postgres://u:p@h:6543/d?pgbouncer=true&connection_limit=1", True, 0),
        ("postgres://u:p@h/d?pgbouncer=1", True, 0),
        ("postgres://u:p@h/d?pgbouncer=false", False, None),
        ("postgres://u:p@ep-a-1-pooler.us-east-2.aws.neon.tech/d?sslmode=require", True, 0),
        ("postgres://u:p@ep-a-1.us-east-2.aws.neon.tech/d?sslmode=require", False, None),
        ("postgres://u.ref:p@aws-0-eu-central-1.pooler.supabase.com:6543/postgres", True, 0),
        ("postgres://u.ref:p@aws-0-eu-central-1.pooler.supabase.com:5432/postgres", False, None),
        ("postgres://u.ref:p@aws-0-eu-central-1.pooler.supabase.com:6543/d?pgbouncer=false", False, None),
        ("postgres://u:p@h/d?statement_cache_size=0", False, 0),
        ("postgres://u:p@h/d?statement_cache_size=50", False, 50),
        ("postgres://u:p@h/d?prepared_statements=false", False, 0),
        ("postgres://u:p@h/d?prepareThreshold=0", False, 0),
        ("postgres://u:p@h/d?prepareThreshold=5", False, None),
    ],
)
def test_through_a_pooler_no_statement_stays_prepared(url: str, pooled: bool, cache: int | None) -> None:
    address = read(url)

    assert (pooled, cache) == (address.pooled, address.pool.get("statement_cache_size"))


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ("bogus=1", "bogus"),
        ("sslmode=require&sslmod=require", "sslmod"),
        ("password=CANARY&bogus=CANARY", "bogus"),
        ("SSLMODE=require", "SSLMODE"),
        ("replication=database", "replication"),
        ("sslidentity=/a.p12", "sslidentity"),
        ("x-y=1", "x-y"),
        ("sslmode=CANARY", "sslmode"),
        ("ssl=CANARY", "ssl"),
        ("channel_binding=CANARY", "channel_binding"),
        ("target_session_attrs=CANARY", "target_session_attrs"),
        ("gssencmode=require", "gssencmode"),
        ("connect_timeout=CANARY", "connect_timeout"),
        ("connect_timeout=-1", "connect_timeout"),
        ("keepalives=CANARY", "keepalives"),
        ("pgbouncer=CANARY", "pgbouncer"),
        ("statement_cache_size=CANARY", "statement_cache_size"),
        ("sslrootcert=system&sslmode=require", "sslmode"),
        ("port=CANARY", "port"),
        ("port=70000", "port"),
        ("port=1,2", "port"),
        ("application_name=a%00b", "application_name"),
    ],
)
def test_an_option_that_nobody_understands_is_refused_by_name(options: str, name: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        query(options)

    assert str(caught.value).startswith("DATABASE_URL: expected ")
    assert name in str(caught.value)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("options", ["password=a&CANARY", "CANARY", "password=a&CAN%41RY=b", "password=a&CANARY!=b"])
def test_what_may_be_the_rest_of_a_password_is_not_repeated(options: str) -> None:
    with pytest.raises(InvalidSettings, match="in a password & is written %26") as caught:
        query(options)

    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "scheme", ["postgresql+other", "jdbc:postgresql", "prisma+postgres", "postgresql+", "psql", "pgbouncer"]
)
def test_a_scheme_of_something_else_is_refused(scheme: str) -> None:
    with pytest.raises(InvalidSettings, match="expected a URL that starts with postgres: or postgresql:"):
        read(f"{scheme}://u:p@h/d")


def test_an_address_shows_no_password() -> None:
    assert CANARY not in repr(read(f"postgres://u:{CANARY}@h/d?sslpassword={CANARY}"))
