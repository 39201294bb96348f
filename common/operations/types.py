"""The types that all reports share."""

from datetime import datetime
from typing import Annotated, Literal, get_args

from msgspec import Meta

Time = Annotated[datetime, Meta(tz=True)]  # RFC 3339, UTC; the ledger's
ClassName = Literal[
    "user", "stranger", "operator", "first", "refresh", "trial"
]  # trial: likely to be wasted, whoever asks
CLASSES: tuple[ClassName, ...] = get_args(ClassName)
MAX_ID = 2**63 - 1
