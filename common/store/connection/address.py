"""PostgreSQL's address, as database providers write it, translated for both drivers: asyncpg for the pool, libpq for psycopg.

It opens no connection. common/store/connection/options.py knows the options' names; this module maps them.
"""

import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from common.errors import InvalidSettings
from common.store.connection.options import BOTH, FALSE, LIBPQ, SERVER, TLS_MODES, TRUE, read_options

DRIVERS = ("", "+asyncpg", "+psycopg", "+psycopg2", "+psycopg_async")  # as SQLAlchemy names them
SCHEMES = tuple(f"{scheme}{driver}" for driver in DRIVERS for scheme in ("postgres", "postgresql"))
CONNECT_TIMEOUT = 10  # seconds, of psycopg; the pool has its own
PORT = "5432"
POOLER = re.compile(r".+-pooler\..+\.neon\.(tech|build):[0-9]*|.+\.supabase\.com?:6543")

Roots = Callable[[], str | None]


@dataclass(frozen=True, slots=True)
class Address:
    """One database. `pool` is for `asyncpg.create_pool`, `libpq` for psycopg; `settings`: session settings from the URL.

    `pooled`: the address is that of a transaction pooler, which refuses most session settings and keeps no prepared statements.
    """

    pool: Mapping[str, Any] = field(repr=False)
    libpq: Mapping[str, str] = field(repr=False)
    settings: Mapping[str, str] = field(repr=False)
    pooled: bool


def _system_roots() -> str | None:
    return ssl.get_default_verify_paths().cafile


def read_address(url: str, *, roots: Roots = _system_roots) -> Address:
    """Read a URL; raise `InvalidSettings` naming what is wrong. `roots` returns the file of this machine's trusted certificates."""
    parts = urlsplit(url)
    options = read_options(parts.query)
    options |= _tls(options, roots)
    where = _where(parts.netloc, unquote(parts.path.removeprefix("/")), options)
    settings, pooled = _settings(options), _is_pooled(options, where)
    both = {name: options[name] for name in BOTH if name in options}
    return Address(
        pool=_for_asyncpg(where, both) | _cache(options, pooled=pooled),
        libpq=where | both | _libpq_alone(options) | _libpq_settings(settings),
        settings=settings,
        pooled=pooled,
    )


def _tls(options: Mapping[str, str], roots: Roots) -> dict[str, str]:
    """The TLS options of all libraries, as libpq's.

    `sslrootcert=system` becomes a file: asyncpg and psycopg's wheel support nothing else.
    """
    mode, root = options.get("sslmode") or _mode_of(options.get("ssl", "")), options.get("sslrootcert", "")
    if mode == "no-verify":  # node-postgres
        mode = "require"
    if options.get("sslaccept") == "strict" and mode != "disable":  # Prisma
        mode, root = "verify-full", root or "system"
    if root == "system" and mode not in ("", "verify-full"):
        raise InvalidSettings("DATABASE_URL: expected sslmode=verify-full beside sslrootcert=system")
    if root == "system":
        mode, root = "verify-full", roots() or root
    return {name: value for name, value in (("sslmode", mode), ("sslrootcert", root)) if value}


def _mode_of(flag: str) -> str:
    """The `sslmode` for `ssl=`: JDBC and node-postgres write `true`, SQLAlchemy writes a mode."""
    return "require" if flag in TRUE else flag if flag in (*TLS_MODES, "no-verify") else ""


def _where(netloc: str, database: str, options: Mapping[str, str]) -> dict[str, str]:
    """Hosts, ports, user and database, as libpq's keywords. As in libpq, an option overrides that part of the URL."""
    before, _, places = netloc.rpartition("@")
    user, _, password = before.partition(":")
    hosts, ports = _places(places)
    if given := options.get("host") or options.get("hostaddr"):
        hosts, own = _places(given)
        ports = own or ports
    ports = options.get("port") or ports
    _check_ports(ports, hosts)
    read = {"host": hosts, "port": ports, "user": unquote(user), "password": unquote(password), "dbname": database}
    read |= {name: options[name] for name in ("user", "password", "dbname") if name in options}
    return {name: value for name, value in read.items() if value}


def _places(text: str) -> tuple[str, str]:
    """Comma-separated hosts, and their ports, or "" if no host names one."""
    found = [_place(place) for place in text.split(",")]
    ports = [port for _, port in found]
    return ",".join(host for host, _ in found), ",".join(port or PORT for port in ports) if any(ports) else ""


def _place(text: str) -> tuple[str, str]:
    """A host or a socket's folder, and its port or ""."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return unquote(host), port.removeprefix(":")
    if text.startswith("/") or text.count(":") > 1:
        return text, ""
    host, _, port = text.partition(":")
    return unquote(host), port


def _check_ports(ports: str, hosts: str) -> None:
    """Raise unless there is one valid port for all hosts, or one each."""
    each = ports.split(",") if ports else []
    if not all(re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65536 for port in each):
        raise InvalidSettings("DATABASE_URL: expected a port from 1 to 65535")
    if len(each) > 1 and len(each) != len(hosts.split(",")):
        raise InvalidSettings("DATABASE_URL: expected one port, or as many ports as hosts")


def _is_pooled(options: Mapping[str, str], where: Mapping[str, str]) -> bool:
    """Whether the address is a pooler's: by Prisma's option, or by the host names of Neon and Supabase."""
    if "pgbouncer" in options:
        return options["pgbouncer"] in TRUE
    hosts, ports = where.get("host", "").split(","), where.get("port", "").split(",")
    return any(POOLER.fullmatch(f"{host}:{port}") for host, port in zip(hosts, ports * len(hosts), strict=False))


def _settings(options: Mapping[str, str]) -> dict[str, str]:
    settings = {name: options[name] for name in ("application_name", "options", *SERVER) if name in options}
    if options.get("schema", "public") != "public":  # Prisma
        quoted = options["schema"].replace('"', '""')
        settings.setdefault("search_path", f'"{quoted}"')
    return settings


def _libpq_alone(options: Mapping[str, str]) -> dict[str, str]:
    """Options that only libpq knows. With a connect_timeout of 0 it would wait forever, so that is replaced."""
    own = {name: options[name] for name in LIBPQ if name in options}
    return own if int(own.get("connect_timeout", 0)) else {**own, "connect_timeout": str(CONNECT_TIMEOUT)}


def _libpq_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """Session settings, as libpq's `options`: it has no other way to send them."""
    asked = [f"-c {name}={_escaped(value)}" for name, value in settings.items() if name in SERVER]
    options = " ".join([*filter(None, [settings.get("options")]), *asked])
    named = {"application_name": settings["application_name"]} if "application_name" in settings else {}
    return named | ({"options": options} if options else {})


def _escaped(value: str) -> str:
    return re.sub(r"([\\\s])", r"\\\1", value)


def _for_asyncpg(where: Mapping[str, str], both: Mapping[str, str]) -> dict[str, Any]:
    """Arguments of `asyncpg.create_pool`. Hosts are a list, because asyncpg would split an IPv6 address at its colons."""
    spelling = {"user": "user", "password": "password", "dbname": "database"}  # nosec B105
    pool: dict[str, Any] = {spelling[name]: value for name, value in where.items() if name in spelling}
    if "host" in where:
        pool["host"] = where["host"].split(",")
    if "port" in where:
        pool["port"] = [int(port) for port in where["port"].split(",")]
    return pool | {"dsn": f"postgresql://?{urlencode(both, quote_via=quote)}"}


def _cache(options: Mapping[str, str], *, pooled: bool) -> dict[str, int]:
    """The size of asyncpg's cache of prepared statements, if the URL sets it in any library's way."""
    if pooled or options.get("prepareThreshold") == "0" or options.get("prepared_statements") in FALSE:
        return {"statement_cache_size": 0}
    return {"statement_cache_size": int(options["statement_cache_size"])} if "statement_cache_size" in options else {}
