"""The options in PostgreSQL's address: which library each is from, and its valid values. No error repeats a value.

They are libpq's, asyncpg's, or those of another library (Prisma, JDBC, node-postgres, pgx) in whose form a provider writes the URL.
"""

import re
from urllib.parse import unquote

from common.errors import InvalidSettings

WHERE = ("host", "hostaddr", "port", "user", "password", "dbname")
BOTH = (  # the same in libpq and asyncpg
    "sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "sslnegotiation", "ssl_min_protocol_version",
    "ssl_max_protocol_version", "target_session_attrs", "krbsrvname", "gsslib", "passfile", "service",
)  # fmt: skip
LIBPQ = (  # libpq only: asyncpg would send them to the server as settings
    "channel_binding", "client_encoding", "connect_timeout", "fallback_application_name", "gssdelegation", "gssencmode", "keepalives",
    "keepalives_count", "keepalives_idle", "keepalives_interval", "load_balance_hosts", "max_protocol_version", "min_protocol_version",
    "require_auth", "requirepeer", "sslcertmode", "sslcompression", "sslcrldir", "sslsni", "tcp_user_timeout",
)  # fmt: skip
SERVER = (
    "search_path",
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
)  # settings of a session
MAPPED = (  # other libraries' options that have an equivalent here
    "application_name", "options", "pgbouncer", "statement_cache_size", "prepared_statements", "prepareThreshold", "schema", "ssl",
    "sslaccept",
)  # fmt: skip
LEFT_OUT = frozenset({  # other libraries' pools, timeouts and dialects: ignored
    "connection_limit", "pool_timeout", "socket_timeout", "max_connection_lifetime", "max_idle_connection_lifetime",
    "single_use_connections", "supa", "workaround", "uselibpqcompat", "prepared_statement_cache_size",
    "async_fallback", "pool", "pool_size", "max_overflow", "pool_recycle", "pool_pre_ping", "pool_max_conns",
    "pool_min_conns", "pool_max_conn_lifetime", "pool_max_conn_idle_time", "pool_health_check_period", "conn_max_age",
    "conn_health_checks", "min_size", "max_size", "command_timeout", "tcpKeepAlive", "loginTimeout", "connectTimeout",
    "socketTimeout", "reWriteBatchedInserts", "stringtype",
})  # fmt: skip
SYNONYMS = {"database": "dbname", "currentSchema": "search_path", "ApplicationName": "application_name"}

TRUE, FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
TLS_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
TLS_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
CHOICES = {
    "sslmode": (*TLS_MODES, "no-verify"),
    "ssl": (*TRUE, *FALSE, *TLS_MODES, "no-verify"),
    "sslaccept": ("strict", "accept_invalid_certs"),
    "sslnegotiation": ("postgres", "direct"),
    "ssl_min_protocol_version": TLS_VERSIONS,
    "ssl_max_protocol_version": TLS_VERSIONS,
    "sslcertmode": ("disable", "allow", "require"),
    "target_session_attrs": ("any", "primary", "standby", "read-write", "read-only", "prefer-standby"),
    "channel_binding": ("disable", "prefer", "require"),
    "load_balance_hosts": ("disable", "random"),
    "gsslib": ("gssapi", "sspi"),
    "gssencmode": ("disable", "prefer"),  # asyncpg cannot encrypt with GSS, so "require" is not accepted
    "pgbouncer": TRUE + FALSE,
    "prepared_statements": TRUE + FALSE,
    **dict.fromkeys(("keepalives", "sslcompression", "sslsni", "gssdelegation"), ("0", "1")),
}
NUMBERS = (
    "connect_timeout", "keepalives_count", "keepalives_idle", "keepalives_interval", "tcp_user_timeout", "statement_cache_size",
    "prepareThreshold",
)  # fmt: skip
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}")


def read_options(query: str) -> dict[str, str]:
    """The options, without ignored ones; raise `InvalidSettings` naming a wrong one.

    As in libpq, the last of two equal names counts, + is a plus sign, and an empty value means unset.
    """
    options: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        _check_name(name if equals else "")
        if value:
            known = SYNONYMS.get(name, name)
            options[known] = _checked(known, unquote(value))
    return {name: value for name, value in options.items() if name not in LEFT_OUT}


def _check_name(name: str) -> None:
    """Raise for an unknown option. Text that is not a name may be part of a password, so it is not repeated."""
    if not NAME.fullmatch(name):
        raise InvalidSettings("DATABASE_URL: expected options such as ?sslmode=require; in a password & is written %26")
    if name not in {*WHERE, *BOTH, *LIBPQ, *SERVER, *MAPPED, *LEFT_OUT, *SYNONYMS}:
        raise InvalidSettings(f"DATABASE_URL: expected no option {name}, which neither libpq nor asyncpg knows")


def _checked(name: str, value: str) -> str:
    choices = CHOICES.get(name)
    if choices and value not in choices:
        raise InvalidSettings(f"DATABASE_URL: expected {name} to be one of {', '.join(choices)}")
    if name in NUMBERS and not re.fullmatch(r"[0-9]{1,9}", value):
        raise InvalidSettings(f"DATABASE_URL: expected {name} to be a whole number")
    if "\0" in value:
        raise InvalidSettings(f"DATABASE_URL: expected no zero byte in {name}")
    return value
