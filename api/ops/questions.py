"""The parameters and bodies of api/ops/routes.py."""

from typing import Annotated, Any, Literal, get_args

from msgspec import UNSET, Meta, Struct, UnsetType, field

from api.quotes.symbols import Symbol
from common.operations.refresh_jobs import MAX_NAMED
from common.operations.symbols import MAX_SYMBOLS, Only, Sort
from common.operations.types import MAX_ID, ClassName

Ended = Literal[
    "in_flight",
    "ok",
    "unsent",
    "unavailable",
    "not_entitled",
    "throttled_second",
    "throttled_minute",
    "bad_key",
    "day_used_up",
    "bad_request",
    "unknown_notice",
    "no_data",
]


def one_of(words: Any) -> Meta:
    """The error text and the schema of a Literal in a query."""
    return Meta(title=f"one of {', '.join(get_args(words))}", extra_json_schema={"type": "string"})


Id = Annotated[int, Meta(title="a whole number from 1 on", ge=1, le=MAX_ID)]
Most = Annotated[int, Meta(title="a whole number from 1 to 500", ge=1, le=500)]


class SymbolsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Filter, order and page of the symbols."""

    only: Annotated[Only, one_of(Only)] = "all"
    sort: Annotated[Sort, one_of(Sort)] = "age"
    most: Annotated[int, Meta(title=f"a whole number from 1 to {MAX_SYMBOLS}", ge=1, le=MAX_SYMBOLS)] = 100
    offset: Annotated[int, Meta(title="a whole number from 0 to 1000000", ge=0, le=1_000_000)] = 0


class CallsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Filter of the calls; `before`: the `next` of the last page."""

    symbol: Symbol | UnsetType = UNSET
    outcome: Annotated[Ended, one_of(Ended)] | UnsetType = UNSET
    call_class: Annotated[ClassName, one_of(ClassName)] | UnsetType = field(name="class", default=UNSET)
    before: Id | UnsetType = UNSET
    most: Most = 50


class LineQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """How many rows."""

    most: Most = 50


class AuditQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Filter of the acts; `user`: the account that they are about; `before`: the `next` of the last page."""

    event: Annotated[str, Meta(title="an event such as symbol_pinned", pattern="^[a-z_]{1,40}$")] | UnsetType = UNSET
    actor: Annotated[str, Meta(title="anybody, user:7 or cli:ada@host", pattern="^[!-~]{1,200}$")] | UnsetType = UNSET
    user: Id | UnsetType = UNSET
    before: Id | UnsetType = UNSET
    most: Most = 50


class UsersQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """`begins`: of the username or email; `after`: the `next` of the last page."""

    begins: Annotated[
        str, Meta(title="the first characters of a username or email", max_length=255, pattern="^[^\\x00]*$")
    ] = ""
    after: Annotated[int, Meta(title="a whole number from 0 on", ge=0, le=MAX_ID)] = 0
    most: Annotated[int, Meta(title="a whole number from 1 to 500", ge=1, le=500)] = 100


class JobQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """`after`: the `next` of the last page, a symbol."""

    after: Symbol | UnsetType = UNSET


class RefreshOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """Either `symbols`, or `all` tracked symbols, or those tracked symbols whose quote is `stale` or missing. `force`: also beyond the
    operators' share of the budget."""

    symbols: (
        Annotated[
            list[Symbol],
            Meta(title=f"one list of 1 to {MAX_NAMED} symbols", min_length=1, max_length=MAX_NAMED),
        ]
        | UnsetType
    ) = UNSET
    all: Annotated[bool, Meta(title="true or false")] = False
    stale: Annotated[bool, Meta(title="true or false")] = False
    force: Annotated[bool, Meta(title="true or false")] = False

    def __post_init__(self) -> None:
        choices = [self.symbols is not UNSET, self.all, self.stale]
        if choices.count(True) != 1:
            raise ValueError("expected one of symbols (a list), all (true) and stale (true)")


class Hold(Struct, frozen=True, forbid_unknown_fields=True):
    """How long to make no call."""

    duration: Annotated[
        str,
        Meta(
            title="a duration such as 24h or 90min",
            pattern=r"^[1-9][0-9]{0,5}(s|sec|min|h|d|day)$",
            examples=["24h"],
        ),
    ] = field(name="for")
