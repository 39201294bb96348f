"""Parse the provider's listing of US symbols, a CSV table."""

import csv
import io
from collections.abc import Mapping
from typing import Any

from common.core.models import Listed
from common.core.provider.fields import read_date, read_name, read_symbol, read_text

COLUMNS = frozenset({"symbol", "name", "exchange", "assetType", "status"})
UNREADABLE, READABLE = "\ufffd", 10_000  # up to one character in 10,000 may be invalid UTF-8: a name among thousands


def read_listing(body: bytes) -> tuple[Listed, ...]:
    """The active symbols that can be asked for; raise `csv.Error` if it is not a listing."""
    text = body.decode("utf-8", "replace")
    rows = csv.DictReader(io.StringIO(text))
    if text.count(UNREADABLE) > len(text) // READABLE or not COLUMNS <= set(rows.fieldnames or ()):
        raise csv.Error("expected other columns, in UTF-8")
    listed = (_listed(row) for row in rows if row["status"] == "Active")
    return tuple(row for row in listed if row.symbol)


def _listed(row: Mapping[str, Any]) -> Listed:
    return Listed(
        symbol=read_symbol(row["symbol"]),
        name=read_name(row["name"]),
        exchange=read_text(row["exchange"]),
        asset_type=read_text(row["assetType"]),
        listed_on=read_date(row.get("ipoDate")),
    )
