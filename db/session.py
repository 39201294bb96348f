"""psycopg connections for migrations and for the commands that inspect them."""

from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from common.errors import InvalidSettings
from common.store.connection.address import read_address


def open_session(database_url: str, *, autocommit: bool = False, settings: str = "") -> psycopg.Connection:
    """Connect; `with` commits and closes. `settings`: session settings such as `-c name=value`, added after the URL's.

    A pooler refuses settings and keeps no prepared statements, so it gets neither.
    """
    pooled = read_address(database_url).pooled
    threshold = None if pooled else 5  # psycopg's default
    return psycopg.connect(conninfo(database_url, settings), autocommit=autocommit, prepare_threshold=threshold)


def conninfo(database_url: str, settings: str = "") -> str:
    """The URL as a connection string of libpq."""
    try:
        return make_conninfo("", **keywords(database_url, settings))
    except psycopg.ProgrammingError:
        raise InvalidSettings("DATABASE_URL: expected options that this machine's libpq knows") from None


def keywords(database_url: str, settings: str = "") -> dict[str, Any]:
    """The URL as keyword arguments of libpq."""
    address = read_address(database_url)
    if not settings or address.pooled:
        return dict(address.libpq)
    return {**address.libpq, "options": f"{address.libpq.get('options', '')} {settings}".strip()}
