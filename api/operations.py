"""Every route that has a contract, with the errors that its handler and the middlewares raise. `api/openapi.py` publishes them."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from api.http.contract import Contract
from api.http.middlewares import Handler, is_open, is_readable
from api.http.rate_limits import is_counted
from common.errors import (
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    MalformedAuthorization,
    NotAcceptable,
    NotFound,
    Overloaded,
    PayloadTooLarge,
    QuotewellError,
    RateLimited,
    StoreBusy,
    StoreUnavailable,
    TokenExpired,
    UnsupportedMediaType,
)

ERRORS_OF_BODIES = (InvalidRequest, PayloadTooLarge, UnsupportedMediaType)


@dataclass(frozen=True, slots=True)
class Operation:
    """A documented route, with its path, method, handler and contract."""

    method: str
    path: str
    handler: Handler
    contract: Contract
    public_reads: bool = True

    @property
    def is_public(self) -> bool:
        return is_open(self.handler, public_reads=self.public_reads)

    @property
    def types(self) -> list[Any]:
        contract = self.contract
        return [kind for kind in (*contract.answers.values(), contract.body) if kind is not None]

    def errors(self) -> dict[int, list[type[QuotewellError]]]:
        """All possible errors by status: the handler's own, and those of the middlewares."""
        contract, scope = self.contract, getattr(self.handler, "scope", None)
        found = [
            *contract.errors,
            *([] if self.is_public else [MalformedAuthorization, InvalidToken, TokenExpired, StoreUnavailable]),
            *([] if scope is None and is_readable(self.handler) else [InsufficientScope]),
            *(ERRORS_OF_BODIES if contract.body else ()),
            *([InvalidRequest] if contract.query else ()),
            *([NotFound] if "{" in self.path else ()),
            *([] if contract.media == "text/event-stream" else [NotAcceptable]),
            *([RateLimited] if is_counted(self.path) else []),
        ]
        if StoreUnavailable in found and Overloaded not in found:
            found.append(StoreBusy)
        by_status = defaultdict(list)
        for error in dict.fromkeys(found):
            by_status[error.status].append(error)
        return dict(by_status)


def operations(router: web.UrlDispatcher, *, public_reads: bool = True) -> Iterator[Operation]:
    """Every route that has a contract; HEAD is GET without its body."""
    for route in router.routes():
        contract = getattr(route.handler, "contract", None)
        if contract is not None and route.resource is not None and route.method != "HEAD":
            path = route.resource.canonical
            yield Operation(route.method.lower(), path, route.handler, contract, public_reads)
