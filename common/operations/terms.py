"""The words that all reports share."""

from datetime import datetime
from typing import Annotated, Literal, get_args

from msgspec import Meta

Time = Annotated[datetime, Meta(tz=True)]  # RFC 3339, UTC; the ledger's
PurposeName = Literal["interactive", "operator", "background"]
PURPOSES: tuple[PurposeName, ...] = get_args(PurposeName)  # a Purpose is the place of its name
HIGHEST_ID = 2**63 - 1
