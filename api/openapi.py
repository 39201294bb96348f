"""The OpenAPI 3.1 document, generated from the router and the handlers' contracts: it shows the types that validate the requests.

It knows what the middlewares add (tokens, bodies, errors), but no single handler.
"""

import inspect
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from api.http.rate_limits import is_counted
from api.http.requests import properties
from api.operations import Operation, operations
from api.quotes.symbols import Symbol
from common import VERSION
from common.core.search.ranking import MAX_QUERY_LENGTH
from common.errors import (
    InsufficientScope,
    NotNow,
    QuotewellError,
)

Json = dict[str, Any]
SCHEMAS = "#/components/schemas/{name}"
PATH: Mapping[str, Any] = {
    "symbol": Symbol,
    "query": Annotated[
        str,
        Meta(title=f"1 to {MAX_QUERY_LENGTH} letters, digits and signs", min_length=1, examples=["apple"]),
    ],
    "user": Annotated[int, Meta(title="the id of a user", ge=1, examples=[1])],
    "key": Annotated[int, Meta(title="the id of an API key", ge=1, examples=[1])],
    "job": Annotated[int, Meta(title="the id of a refresh", ge=1, examples=[1])],
    "session": Annotated[int, Meta(title="the id of a login", ge=1, examples=[1])],
}
CACHING = ("ETag", "Cache-Control", "Age", "Last-Modified")
HEADERS: Mapping[str, tuple[str, Json]] = {
    "X-Request-ID": ("The client's own id if it is well-formed, else a new one; the log has it.", {"type": "string"}),
    "Cache-Control": ("How long the answer may be cached, and by whom.", {"type": "string"}),
    "ETag": (
        "Send it as `If-None-Match` to get 304. Weak for a stale quote, whose estimate may change.",
        {"type": "string", "pattern": '^(W/)?"[0-9a-f]+"$'},
    ),
    "Age": ("Seconds; always 0, because the answer is made or renewed here.", {"type": "integer"}),
    "Last-Modified": ("When the data was fetched.", {"type": "string"}),
    "Retry-After": ("Seconds after which to retry.", {"type": "integer", "minimum": 1}),
    "WWW-Authenticate": ("The expected scheme, and what is wrong with the token (RFC 6750).", {"type": "string"}),
}
# Not on answers that anybody may read: a cache would give them to other clients.
LIMITS: Mapping[str, tuple[str, Json]] = {
    "RateLimit-Policy": (
        'The client\'s limits: `"requests";q=1200;w=60` allows 1200 in 60 seconds.',
        {"type": "string"},
    ),
    "RateLimit": ("What is left of each limit (`r`), and the seconds until it resets (`t`).", {"type": "string"}),
}


class Error(Struct, frozen=True):
    """What went wrong: a sentence for people, a code for programs, and the request's id in the log."""

    error: str
    code: str
    request_id: str


class ErrorForNow(Error, frozen=True):
    """A temporary error: retry after `retry_after` seconds."""

    retry_after: Annotated[int, Meta(ge=1)]


def describe(router: web.UrlDispatcher, *, public_reads: bool = True) -> Json:
    """The whole document. `public_reads`: whether market data needs no token."""
    found = list(operations(router, public_reads=public_reads))
    paths: Json = defaultdict(dict)
    for operation in sorted(found, key=lambda operation: operation.path):
        paths[operation.path][operation.method] = _operation(operation)
    kinds = [Error, ErrorForNow, *(kind for operation in found for kind in operation.types)]
    _, components = msgspec.json.schema_components(kinds, ref_template=SCHEMAS)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Quotewell",
            "version": VERSION,
            "description": "Real stock quotes for many users from one stingy market-data key.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": dict(paths),
        "components": {
            "schemas": dict(sorted(components.items())),
            "headers": {
                name: {"description": text, "required": True, "schema": schema}
                for name, (text, schema) in (*HEADERS.items(), *LIMITS.items())
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "ticket": {"type": "apiKey", "in": "query", "name": "ticket"},
            },
        },
    }


def _schema(kind: Any) -> Json:
    """A type's schema; a Struct's is a reference."""
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=SCHEMAS)
    return schema


def _operation(operation: Operation) -> Json:
    contract, body = operation.contract, operation.contract.body
    written: Json = {
        "operationId": operation.handler.__name__,
        "tags": [operation.handler.__module__.rpartition(".")[2]],
        "summary": contract.summary,
        "description": inspect.getdoc(operation.handler) or "",
        "parameters": _parameters(operation),
        "responses": dict(sorted(_responses(operation).items())),
        "security": [{scheme: []} for scheme in contract.proofs or (() if operation.is_public else ("bearer",))],
    }
    if body is not None:
        either = {"anyOf": [{"required": [name]} for name in contract.either]} if contract.either else {}
        content = {"application/json": {"schema": _schema(body) | either}}
        written["requestBody"] = {"required": True, "content": content}
    return {name: value for name, value in written.items() if value or name == "security"}


def _parameters(operation: Operation) -> list[Json]:
    headers = dict(operation.contract.headers)
    if operation.contract.cached:
        headers["If-None-Match"] = "The `ETag` of an answer that the client has: 304 if it is still current."
    written = [
        {"name": name, "in": "path", "required": True, "schema": _schema(PATH[name])}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    if (query := operation.contract.query) is not None:
        required = {each.encode_name for each in msgspec.structs.fields(query) if each.required}
        for name, schema in properties(query).items():
            parameter = {"name": name, "in": "query", "required": name in required, "schema": schema}
            written.append(parameter | ({"explode": False} if schema["type"] == "array" else {}))
    return written + [
        {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
        for name, text in headers.items()
    ]


def _responses(operation: Operation) -> Json:
    contract = operation.contract
    limits = LIMITS if is_counted(operation.path) else ()
    own = () if operation.is_public and operation.method == "get" else limits  # caches may keep what anybody may get
    headers = ["X-Request-ID", *(CACHING if contract.cached else ("Cache-Control", *own))]
    written = {
        str(status): _response(HTTPStatus(status).phrase, headers, _schema(kind), contract.media)
        for status, kind in contract.answers.items()
    }
    if contract.cached:
        written["304"] = _response("The client's copy is current.", headers)
    for status, errors in operation.errors().items():
        written[str(status)] = _refusal(errors, limits)
    return written


def _refusal(errors: Sequence[type[QuotewellError]], limits: Iterable[str]) -> Json:
    """The answer for one status: its possible codes, and what to do about each."""
    is_temporary = any(issubclass(error, NotNow) for error in errors)
    headers = ["X-Request-ID", "Cache-Control", *limits]
    if is_temporary:
        headers.append("Retry-After")
    if errors[0].status == 401 or InsufficientScope in errors:
        headers.append("WWW-Authenticate")
    reference = SCHEMAS.format(name="ErrorForNow" if is_temporary else "Error")
    codes = {"properties": {"code": {"enum": list(dict.fromkeys(error.code for error in errors))}}}
    codes_text = "\n".join(f"- `{error.code}`: {inspect.getdoc(error)}" for error in errors)
    return _response(codes_text, headers, {"allOf": [{"$ref": reference}, codes]})


def _response(
    description: str, headers: Sequence[str], schema: Json | None = None, media: str = "application/json"
) -> Json:
    written: Json = {
        "description": description,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
    }
    return written if schema is None else written | {"content": {media: {"schema": schema}}}
