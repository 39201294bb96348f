"""psycopg's connections to the database of a URL: migrations, and what asks after them."""

from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from common.errors import InvalidSettings
from common.store.connection.address import read_address


def open_session(database_url: str, *, autocommit: bool = False, settings: str = "") -> psycopg.Connection:
    """A connection; a `with` around it commits and closes. `settings`: those of the session, such as `-c name=value`, after the URL's own.

    A pooler refuses settings, and keeps no statement prepared: so it gets neither.
    """
    pooled = read_address(database_url).pooled
    threshold = None if pooled else 5  # psycopg's own
    return psycopg.connect(conninfo(database_url, settings), autocommit=autocommit, prepare_threshold=threshold)


def conninfo(database_url: str, settings: str = "") -> str:
    """The URL in libpq's own spelling."""
    try:
        return make_conninfo("", **keywords(database_url, settings))
    except psycopg.ProgrammingError:
        raise InvalidSettings("DATABASE_URL: expected options that this machine's libpq knows") from None


def keywords(database_url: str, settings: str = "") -> dict[str, Any]:
    """The same as single words."""
    address = read_address(database_url)
    if not settings or address.pooled:
        return dict(address.libpq)
    return {**address.libpq, "options": f"{address.libpq.get('options', '')} {settings}".strip()}
