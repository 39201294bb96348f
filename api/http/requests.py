"""Strict reading of requests, with the Structs that the OpenAPI document shows. Each error names the field and what was expected.

A field's `title` says in words what is expected. This module adds the checks that a Struct cannot express: NUL, lone surrogates, a
parameter given twice that is no list.
"""

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import hdrs, web
from msgspec import Meta, Struct

from api.http import connections
from api.http.expectations import invite_body
from api.http.refusals import CODINGS, UnsupportedCoding
from common.errors import InvalidRequest, UnsupportedMediaType

MAX_WAIT = 20  # seconds

Text = Annotated[str, Meta(title="a string that is not blank, without NUL", pattern=r"^\s*[^\s\x00][^\x00]*$")]
Wait = Annotated[
    float,
    Meta(
        title=f"seconds from 0 to {MAX_WAIT}",
        description="How long the whole answer may take when the provider must be asked; a setting by default.",
        ge=0,
        le=MAX_WAIT,
    ),
]

S = TypeVar("S", bound=Struct)
_FIELD = re.compile(r"(?:required field `|at `\$\.)(\w+)")
_BRACKETS = re.compile(r"(\w+)\[[0-9]{0,4}\]")


class NoQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters: any parameter is refused."""


def route_of(request: web.Request) -> str | None:
    """The template of a request's route, such as `/api/stock/{symbol}`; None for an unknown route. It contains no client text."""
    resource = request.match_info.route.resource
    return None if resource is None else resource.canonical


async def read(request: web.Request, kind: type[S]) -> S:
    """The JSON object in the body as a `kind`.

    Refuse duplicate keys, NaN, invalid UTF-8, deep nesting, NUL and lone surrogates; refuse a slow body and close its connection. Raise
    `ClientGone` if the client hangs up.
    """
    try:
        async with asyncio.timeout(connections.BODY_TIMEOUT):
            content = _convert(await _read_object(request), kind)
    except OSError:  # a TimeoutError is one, too
        if request.transport is None:
            raise connections.ClientGone("expected the whole body before the end of the connection") from None
        raise connections.SlowBody(f"expected the whole body within {connections.BODY_TIMEOUT:g} seconds") from None
    for name in kind.__struct_fields__:
        value = getattr(content, name)
        if isinstance(value, str) and ("\x00" in value or any("\ud800" <= letter <= "\udfff" for letter in value)):
            raise InvalidRequest(f"{name}: expected text without NUL and lone surrogates")
    return content


async def _read_object(request: web.Request) -> dict[str, Any]:
    if request.content_type != "application/json":
        raise UnsupportedMediaType("expected a body of type application/json")
    coding = ",".join(request.headers.getall(hdrs.CONTENT_ENCODING, [])).strip().lower()
    if coding not in ("", "identity", *CODINGS):
        raise UnsupportedCoding
    await invite_body(request)
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


def query(request: web.Request, kind: type[S]) -> S:
    """The query's parameters as a `kind`. Each may occur once, but a list any number of times; unknown parameters are ignored, unless
    the `kind` forbids them."""
    known = properties(kind)
    given: dict[str, list[str]] = {}
    for name, value in request.query.items():
        given.setdefault(_without_brackets(name, known), []).append(value)
    content = {name: _join(name, given[name], schema) for name, schema in known.items() if name in given}
    if kind.__struct_config__.forbid_unknown_fields:
        _refuse_unknown(given, known)
    return _convert(content, kind, shown=True)


def _without_brackets(name: str, known: Mapping[str, Mapping[str, Any]]) -> str:
    """`symbols[]` and `symbols[0]` are `symbols`: many clients write lists so."""
    found = _BRACKETS.fullmatch(name)
    return found[1] if found and known.get(found[1], {}).get("type") == "array" else name


def _join(name: str, values: list[str], schema: Mapping[str, Any]) -> str | list[str]:
    """A parameter as msgspec reads it: a list split at commas, a number without the trailing dot of `2.`."""
    if schema["type"] == "array":
        return [part for value in values if value.strip() for part in value.split(",")]
    if len(values) > 1:
        raise InvalidRequest(f"{name}: expected {schema['title']}, once, not {len(values)} times")
    return values[0].removesuffix(".") if schema["type"] == "number" else values[0]


def _refuse_unknown(given: Iterable[str], known: Mapping[str, object]) -> None:
    for name in given:
        if name not in known:
            expected = f"only {', '.join(known)}" if known else "no parameter here"
            raise InvalidRequest(f"{name[:40]}: expected {expected}")


def _convert(content: Mapping[str, Any], kind: type[S], *, shown: bool = False) -> S:
    """`shown`: for a query, whose values may appear in errors and whose numbers are text."""
    try:
        return msgspec.convert(content, kind, strict=not shown)
    except msgspec.ValidationError as error:
        found = _FIELD.search(str(error))
        if found is None:
            raise InvalidRequest(str(error)) from None  # raised by a Struct's __post_init__
        name = found[1]
        shown_value = f", not {_short(content[name])}" if shown and name in content else ""
        raise InvalidRequest(f"{name}: expected {properties(kind)[name]['title']}{shown_value}") from None


def _short(value: str | list[str]) -> str:
    return str(len(value)) if isinstance(value, list) else repr(value[:20])


@cache
def properties(kind: type[Struct]) -> dict[str, dict[str, Any]]:
    """The JSON schemas of a Struct's fields, as in the OpenAPI document."""
    _, components = msgspec.json.schema_components([kind])
    found: dict[str, dict[str, Any]] = components[kind.__name__]["properties"]
    return found
