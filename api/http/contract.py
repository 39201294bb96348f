"""A handler's contract: summary, parameters, body, answers and errors. `api/openapi.py` publishes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from api.http.middlewares import Handler
from common.errors import Overloaded, ProviderUnavailable, QuotePending, QuotewellError, RateLimited, StoreUnavailable

Errors = tuple[type[QuotewellError], ...]
MISS_ERRORS: Errors = (RateLimited, QuotePending, ProviderUnavailable, Overloaded, StoreUnavailable)


@dataclass(frozen=True, slots=True)
class Contract:
    """`answers`: the body's type by status. `errors`: those that the handler itself raises; api/openapi.py adds the middlewares'.

    `either`: fields of the body of which one is needed. `headers`: request headers with their meaning. `cached`: the answer has
    validators and may be 304. `media`: the answers' media type. `proofs`: the security schemes of which a public handler accepts any.
    """

    summary: str
    answers: Mapping[int, Any]
    errors: Errors = ()
    query: type[Struct] | None = None
    body: type[Struct] | None = None
    either: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    cached: bool = False
    media: str = "application/json"
    proofs: tuple[str, ...] = ()


def documented(summary: str, *, answers: Mapping[int, Any], **more: Any) -> Callable[[Handler], Handler]:
    """Attach a contract to a handler; keywords as in `Contract`."""

    def mark(handler: Handler) -> Handler:
        handler.contract = Contract(summary, answers, **more)  # type: ignore[attr-defined]
        return handler

    return mark
