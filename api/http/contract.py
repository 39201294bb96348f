"""What a handler promises: its summary, parameters, body, answers and errors, written down beside it. `api/openapi.py` tells the world."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from api.http.middlewares import Handler
from common.errors import Overloaded, ProviderUnavailable, QuotePending, QuotewellError, RateLimited, StoreUnavailable

Time = Annotated[datetime, Meta(tz=True)]  # RFC 3339
Errors = tuple[type[QuotewellError], ...]
WHILE_ASKING: Errors = (RateLimited, QuotePending, ProviderUnavailable, Overloaded, StoreUnavailable)


@dataclass(frozen=True, slots=True)
class Contract:
    """`answers`: the type of the body by status. `errors`: those that the handler itself raises; what comes before it is known.

    `headers`: the request's, with what they mean. `cached`: the answer has validators, and may be 304. `media`: of the answers.
    """

    summary: str
    answers: Mapping[int, Any]
    errors: Errors = ()
    query: type[Struct] | None = None
    body: type[Struct] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cached: bool = False
    media: str = "application/json"


def documented(summary: str, *, answers: Mapping[int, Any], **more: Any) -> Callable[[Handler], Handler]:
    """Write a handler's contract down; keywords as in `Contract`."""

    def mark(handler: Handler) -> Handler:
        handler.contract = Contract(summary, answers, **more)  # type: ignore[attr-defined]
        return handler

    return mark
