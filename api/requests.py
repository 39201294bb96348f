"""Requests read strictly: a body that is what it says it is, fields of the right type, each refusal with what was expected."""

import json
import re
from typing import Any

from aiohttp import web

from common.core.symbols import normalize_symbol
from common.errors import InvalidRequest, UnsupportedMediaType

USERNAME = re.compile(r"[A-Za-z0-9_.-]{3,32}")
EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,190}")
LONGEST_PASSWORD = 1024  # bytes


async def read_object(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body; duplicate keys, NaN, wrong UTF-8 and deep nesting are refused."""
    if request.content_type != "application/json":
        raise UnsupportedMediaType("expected a body of type application/json")
    try:
        content = json.loads(
            (await request.read()).decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant
        )
    except (ValueError, RecursionError, web.RequestPayloadError):
        raise InvalidRequest("expected a JSON object in UTF-8, without duplicate keys") from None
    if not isinstance(content, dict):
        raise InvalidRequest("expected a JSON object")
    return content


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError
    return content


def _no_constant(_: str) -> Any:
    raise ValueError


def text(content: dict[str, Any], name: str) -> str:
    """A required string; what PostgreSQL cannot hold is refused."""
    value = content.get(name)
    if not isinstance(value, str) or not value.strip():
        raise InvalidRequest(f"{name}: expected a string that is not empty")
    if "\x00" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise InvalidRequest(f"{name}: expected text without NUL and lone surrogates")
    return value


def username(content: dict[str, Any]) -> str:
    value = text(content, "username").strip()
    if USERNAME.fullmatch(value) is None:
        raise InvalidRequest("username: expected 3 to 32 letters, digits, dots, dashes or underscores")
    return value


def email(content: dict[str, Any]) -> str:
    value = text(content, "email").strip()
    if EMAIL.fullmatch(value) is None:
        raise InvalidRequest("email: expected an address such as ada@example.com")
    return value


def new_password(content: dict[str, Any], *, shortest: int) -> str:
    value = text(content, "password")
    if len(value) < shortest or len(value.encode()) > LONGEST_PASSWORD:
        raise InvalidRequest(f"password: expected at least {shortest} characters and at most {LONGEST_PASSWORD} bytes")
    return value


def symbol_in(content: dict[str, Any]) -> str:
    return normalize_symbol(text(content, "symbol"))


def seconds(request: web.Request, name: str, default: float, *, most: float) -> float:
    """A number of seconds in the query, 0 to `most`."""
    value = request.query.get(name)
    if value is None:
        return default
    try:
        number = float(value) if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{0,6})?", value) else -1
        if not 0 <= number <= most:
            raise ValueError
    except ValueError:
        raise InvalidRequest(f"{name}: expected seconds from 0 to {most:g}, not {value[:20]!r}") from None
    return number


def whole(request: web.Request, name: str, default: int, *, low: int, high: int) -> int:
    """A whole number in the query."""
    value = request.query.get(name)
    if value is None:
        return default
    if re.fullmatch(r"[0-9]{1,6}", value) is None or not low <= int(value) <= high:
        raise InvalidRequest(f"{name}: expected a whole number from {low} to {high}, not {value[:20]!r}")
    return int(value)


def symbols(request: web.Request, *, most: int) -> list[str]:
    """The query's `symbols=A,B,...`: one such parameter, 1 to `most` symbols, each once."""
    given = request.query.getall("symbols", [])
    parts = given[0].split(",") if len(given) == 1 else []
    if not 1 <= len(parts) <= most or not given[0].strip():
        raise InvalidRequest(f"symbols: expected one list of 1 to {most} symbols, not {len(parts) or len(given)}")
    return list(dict.fromkeys(normalize_symbol(part) for part in parts))
