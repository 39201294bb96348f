"""Which days a price can be of by now."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from common.core.calendar.trading_day import is_abroad, latest_day


@pytest.mark.parametrize(
    ("symbol", "now", "day"),
    [
        ("IBM", "2026-11-27T16:00", 27),
        ("IBM", "2026-11-28T04:59", 27),  # 23:59 in New York
        ("IBM", "2026-11-28T05:00", 28),
        ("BRK-B", "2026-07-03T03:59", 2),  # summer
        ("BRK-B", "2026-07-03T04:00", 3),
        ("GAB-P-G:BAT", "2026-11-28T04:59", 27),
        ("^GSPC", "2026-11-28T04:59", 27),
        ("600104.SHH", "2026-11-27T09:59", 27),
        ("600104.SHH", "2026-11-27T10:00", 28),  # midnight on Kiritimati
        ("TSCO.LON", "2026-11-27T23:59", 28),
        ("SHOP.TRT", "2026-11-28T09:59", 28),
    ],
)
def test_no_price_is_of_a_day_that_has_not_begun_where_it_is_traded(symbol: str, now: str, day: int) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=ZoneInfo("UTC"))

    assert date(at.year, at.month, day) == latest_day(symbol, at)
    assert latest_day(symbol, at) == latest_day(symbol, at.astimezone(ZoneInfo("Asia/Tokyo")))


@pytest.mark.parametrize(("symbol", "abroad"), [("TSCO.LON", True), ("M&M.BSE", True), ("IBM", False), ("A.", False)])
def test_a_suffix_names_another_exchange(symbol: str, abroad: bool) -> None:
    assert abroad == is_abroad(symbol)
