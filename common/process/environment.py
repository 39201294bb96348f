"""Readers for one environment variable, by kind of value. Each raises `InvalidSettings` with what was expected.

No setting is named here except the stores' addresses.
"""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from email.errors import MessageError
from email.headerregistry import Address
from email.utils import parseaddr
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from common.core.symbols import normalize_symbol
from common.errors import InvalidSettings, InvalidSymbol
from common.process.redis_address import spell
from common.store.connection.address import SCHEMES, read_address

T = TypeVar("T")
_WEB_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\]|\*(\.[a-z0-9-]+)+\.[a-z][a-z0-9-]*)(:([0-9]{1,5}|\*))?")
_APP_ORIGIN = re.compile(r"(?!(https?|wss?|ftp|file|data|blob|about|javascript):)[a-z][a-z0-9+.-]*://[a-z0-9._-]+")


def choice(env: Mapping[str, str], name: str, choices: tuple[str, ...], default: str) -> str:
    value = env.get(name) or default
    if value not in choices:
        raise InvalidSettings(f"{name}: expected one of {', '.join(choices)}, not {value!r}")
    return value


def number(env: Mapping[str, str], name: str, kind: Callable[[str], T], default: T, low: float, high: float) -> T:
    text = env.get(name, "").strip()
    if not text:
        return default
    try:
        value = kind(text)
        if not low <= value <= high:  # type: ignore[operator]
            raise ValueError
    except ValueError:
        raise InvalidSettings(f"{name}: expected a number from {_plain(low)} to {_plain(high)}, not {text!r}") from None
    return value


def _plain(bound: float) -> str:
    """A bound in full: `1000000`, where `:g` alone would write 1e+06."""
    return str(int(bound)) if float(bound).is_integer() else f"{bound:g}"


def seconds(env: Mapping[str, str], name: str, default: float, low: float, high: float) -> timedelta:
    return timedelta(seconds=number(env, name, float, default, low, high))


def share(env: Mapping[str, str], name: str, default: float) -> float:
    """A share of what the provider allows: neither none nor all, which would starve one side."""
    value = number(env, name, float, default, 0, 1)
    if value in (0, 1):
        raise InvalidSettings(f"{name}: expected a share above 0 and below 1, not {env[name]!r}")
    return value


def days(env: Mapping[str, str], name: str, default: float) -> timedelta:
    return timedelta(days=number(env, name, float, default, 0.001, 36_500))


def symbols(env: Mapping[str, str], name: str, default: str) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(normalize_symbol(text) for text in (env.get(name) or default).split(",")))
    except InvalidSymbol as error:
        raise InvalidSettings(f"{name}: {error}") from None


def base_url(env: Mapping[str, str], name: str) -> str:
    url = env.get(name, "").strip().rstrip("/")
    if url and not _is_base_url(url):
        raise InvalidSettings(f"{name}: expected http(s)://host[:port] without /query")
    return url.removesuffix("/query")


def site_url(env: Mapping[str, str], name: str) -> str:
    """The address under which people open the site, without a slash at its end."""
    url = env.get(name, "").strip().rstrip("/")
    if url and not (url.isascii() and _is_base_url(url)):
        raise InvalidSettings(f"{name}: expected http(s)://host[:port], not {url!r}")
    return url


def smtp_url(env: Mapping[str, str], name: str) -> str:
    """A mail server's address, never repeated in a message: it holds a password."""
    url = env.get(name, "").strip()
    if url and not _is_smtp_url(url):
        raise InvalidSettings(
            f"{name}: expected smtp(s)://[user:password@]host[:port]; in its password / ? # @ are written %2F %3F %23 %40"
        )
    return url


def _is_smtp_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  raises if it is not a port
    except ValueError:
        return False
    rest = parts.path.strip("/") + parts.query + parts.fragment
    return parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and not rest and parts.netloc.count("@") <= 1


def mail_password(url: str) -> str:
    """The password in a mail server's address, as it is sent; empty if there is none."""
    return unquote(urlsplit(url).password or "")


def mail_sender(env: Mapping[str, str], name: str) -> str:
    """The sender of mail, such as `quotes@example.com` or `Quotewell <quotes@example.com>`."""
    text = env.get(name, "").strip()
    try:
        if text and not Address(addr_spec=parseaddr(text)[1]).domain:
            raise ValueError
    except (ValueError, IndexError, MessageError):
        raise InvalidSettings(f"{name}: expected an address such as quotes@example.com, not {text!r}") from None
    return text


def origins(env: Mapping[str, str], name: str, default: str) -> tuple[str, ...]:
    """Origins as browsers and apps send them: `http(s)://host[:port]`, or an app's own scheme such as `capacitor://localhost`.

    The port may be `*`, and so may the first label of a domain: `https://*.example.com`. `*` before a top-level domain is refused.
    """
    found = tuple(filter(None, (part.strip() for part in env.get(name, default).split(","))))
    for origin in found:
        if not _WEB_ORIGIN.fullmatch(origin) and not _APP_ORIGIN.fullmatch(origin):
            raise InvalidSettings(f"{name}: expected origins such as https://app.example.com, not {origin!r}")
    return found


def _is_base_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  raises if it is not a port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query


def store_url(env: Mapping[str, str], name: str, schemes: tuple[str, ...]) -> str:
    """A store's address, never repeated in a message: it holds a password."""
    url = env.get(name, "").strip()
    if not url:
        raise InvalidSettings(f"{name}: expected a URL, not nothing; `make run` brings stores of its own")
    if not _is_store_url(url, schemes):
        starts = " or ".join(f"{scheme}:" for scheme in schemes if "+" not in scheme)
        raise InvalidSettings(
            f"{name}: expected a URL that starts with {starts}; in its password / ? # are written %2F %3F %23"
        )
    return url


def _is_store_url(url: str, schemes: tuple[str, ...]) -> bool:
    """A reserved character in a password ends the host part early: the rest would be read as a port and repeated in the error."""
    try:
        parts = urlsplit(url)
        for host in parts.netloc.rpartition("@")[2].split(","):  # PostgreSQL may have several
            urlsplit(f"//{host}").port  # noqa: B018  raises for what is none
    except ValueError:
        return False
    return parts.scheme in schemes and "@" not in parts.path + parts.query + parts.fragment


def database_url(env: Mapping[str, str]) -> str:
    """PostgreSQL's address, unchanged, once `common/store/connection/address.py` could read it."""
    url = store_url(env, "DATABASE_URL", SCHEMES)
    read_address(url)
    return url


def redis_url(env: Mapping[str, str]) -> str:
    """Redis's address in a form that redis-py and kombu read alike. With TLS it always states whether the server is verified."""
    verify = choice(env, "REDIS_TLS_VERIFY", ("on", "off"), "on") if env.get("REDIS_TLS_VERIFY") else None
    if env.get("REDIS_URL") or not env.get("REDIS_HOST"):
        return spell(store_url(env, "REDIS_URL", ("redis", "rediss")), verify)
    port = number(env, "REDIS_PORT", int, 6379, 1, 65535)
    return f"redis://{env['REDIS_HOST']}:{port}/0"
