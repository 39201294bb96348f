"""Redis's address in the one form that redis-py and kombu read alike. No error repeats a value: it may be a password.

Both pass unknown options on as arguments and fail at first use, and they read some options, such as the database, differently.
"""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from common.errors import InvalidSettings

TLS = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_password", "ssl_ciphers")  # both accept these
VERIFICATION = ("ssl_cert_reqs", "ssl_check_hostname")
PLACE = ("db", "virtual_host", "username", "password")
LEFT_OUT = frozenset({  # timeouts, pooling and protocol: Quotewell sets its own
    "family", "protocol", "legacy_responses", "timeout", "socket_timeout", "socket_connect_timeout", "socket_read_size",
    "socket_keepalive", "retry_on_timeout", "max_connections", "health_check_interval", "decode_responses", "encoding",
    "encoding_errors", "client_name", "lib_name", "lib_version", "allowUsernameInURI",
})  # fmt: skip
VERIFIED = {
    **dict.fromkeys(
        ("required", "cert_required", "optional", "cert_optional"), "required"
    ),  # for a client both mean the same: a server always presents a certificate
    **dict.fromkeys(("none", "cert_none"), "none"),
}
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}")


def spell(url: str, verify: str | None) -> str:
    """The address for both libraries; raise `InvalidSettings` naming a wrong option. `verify`: "on", "off", or None to follow the URL.

    Idempotent.
    """
    parts, options = urlsplit(url), _read_options(urlsplit(url).query)
    if "," in parts.netloc.rpartition("@")[2]:
        raise InvalidSettings("REDIS_URL: expected one host")
    kept = {name: options[name] for name in TLS if name in options}
    if parts.scheme == "rediss":
        kept["ssl_cert_reqs"] = _verification(options, verify)
    elif tls := next((name for name in options if name in TLS + VERIFICATION), None):
        raise InvalidSettings(f"REDIS_URL: expected rediss:// beside {tls}")
    query = "&".join(f"{name}={quote(value, safe='/')}" for name, value in kept.items())
    return f"{parts.scheme}://{_netloc(parts.netloc, options)}{_database(parts.path, options)}{query and f'?{query}'}"


def _read_options(query: str) -> dict[str, str]:
    options = {name: value for name, value in parse_qsl(query, keep_blank_values=True) if _is_known(name)}
    return {name: value for name, value in options.items() if value and name not in LEFT_OUT}


def _is_known(name: str) -> bool:
    """Raise for an unknown option. Text that is not a name may be part of a password, so it is not repeated."""
    if not NAME.fullmatch(name):
        raise InvalidSettings("REDIS_URL: expected options such as ?ssl_ca_certs=/path; in a password & is written %26")
    if name not in {*TLS, *VERIFICATION, *PLACE, *LEFT_OUT}:
        raise InvalidSettings(f"REDIS_URL: expected no option {name}, which redis-py and kombu do not both know")
    return True


def _verification(options: Mapping[str, str], verify: str | None) -> str:
    """The value of `ssl_cert_reqs`. By default redis-py verifies and kombu does not, so it is always written."""
    wanted = {"on": "required", "off": "none"}.get(verify or "")
    given = options.get("ssl_cert_reqs")
    said = VERIFIED.get(given.lower(), "") if given else wanted or "required"
    if not said:
        raise InvalidSettings("REDIS_URL: expected ssl_cert_reqs to be one of required, optional, none")
    names = options.get("ssl_check_hostname", "true").lower()
    if said != (wanted or said) or (said == "required" and names not in ("true", "1", "yes", "on")):
        raise InvalidSettings(
            "REDIS_URL: expected no ssl_cert_reqs and no ssl_check_hostname; REDIS_TLS_VERIFY is on or off"
        )
    return said


def _netloc(netloc: str, options: Mapping[str, str]) -> str:
    """User and password, percent-encoded: kombu splits an address at semicolons."""
    before, _, place = netloc.rpartition("@")
    user, _, password = before.partition(":")
    user, password = options.get("username") or unquote(user), options.get("password") or unquote(password)
    if not user and not password:
        return place
    return f"{quote(user, safe='')}{':' if password else ''}{quote(password, safe='')}@{place}"


def _database(path: str, options: Mapping[str, str]) -> str:
    """The database as the path, where both libraries read it."""
    given = {text for text in (path.strip("/"), options.get("db"), options.get("virtual_host", "").strip("/")) if text}
    if len(given) > 1 or not all(re.fullmatch("[0-9]{1,5}", text) for text in given):
        raise InvalidSettings("REDIS_URL: expected one database by its number, such as /0")
    return f"/{given.pop()}" if given else ""
