"""Why a stale quote was not refreshed, and when it should be."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import sqrt

import pytest

from common.core.limits import PLANS
from common.core.market_time import ALWAYS
from common.core.models import Price, Quote
from common.core.outlook import Outlook, next_refresh, reason
from common.core.refresh import Policy
from common.sessions import nyse

NYSE = nyse(2027)
POLICY = Policy(PLANS["standard"].limits, "realtime", 0.2)
OPEN = datetime(2026, 11, 20, 16, tzinfo=UTC)
CLOSED = datetime(2026, 11, 20, 21, 2, tzinfo=UTC)
NEXT_OPEN = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)


def quote(fetched_at: datetime) -> Quote:
    return Quote(Price("IBM", Decimal(1), date(2026, 11, 20)), "alphavantage", fetched_at)


@pytest.mark.parametrize(
    ("outlook", "now", "why"),
    [
        (Outlook(), OPEN, "budget"),
        (Outlook(), CLOSED, "market_closed"),
        (Outlook(provider_fails=True), OPEN, "provider_down"),
        (Outlook(provider_fails=True), CLOSED, "market_closed"),
        (Outlook(quota_left=False), OPEN, "quota_spent"),
        (Outlook("day_used_up", OPEN + timedelta(hours=1)), OPEN, "quota_spent"),
        (Outlook("day_used_up", OPEN - timedelta(hours=1)), OPEN, "budget"),
        (Outlook("throttled_minute", OPEN + timedelta(minutes=1)), OPEN, "budget"),
    ],
)
def test_a_stale_quote_has_one_reason(outlook: Outlook, now: datetime, why: str) -> None:
    assert why == reason(outlook, NYSE, now)


def test_a_symbol_is_due_a_period_of_the_square_root_law_after_its_last_quote() -> None:
    weights = {"IBM": 4.0, "AAPL": 9.0}
    outlook = Outlook(weights=weights, root_weights=sum(map(sqrt, weights.values())))

    due = next_refresh(outlook, POLICY, ALWAYS, quote(OPEN), OPEN)

    assert OPEN + timedelta(seconds=12) * 5 / 2 == due


@pytest.mark.parametrize(
    ("outlook", "fetched_at", "now", "due"),
    [
        (Outlook(), OPEN, OPEN, None),
        (Outlook(weights={"IBM": 1}, root_weights=1), OPEN - timedelta(hours=1), OPEN, OPEN + timedelta(seconds=12)),
        (
            Outlook("clock_jump", OPEN + timedelta(hours=1), weights={"IBM": 1}, root_weights=1),
            OPEN,
            OPEN,
            OPEN + timedelta(hours=1),
        ),
        (Outlook(weights={"IBM": 1}), OPEN, CLOSED, datetime(2026, 11, 20, 21, 5, tzinfo=UTC)),
        (Outlook(weights={"IBM": 1}), CLOSED, CLOSED, NEXT_OPEN),
        (Outlook(weights={"IBM": 1}), OPEN, CLOSED + timedelta(hours=1), NEXT_OPEN),
    ],
)
def test_the_estimate_waits_for_whatever_comes_last(
    outlook: Outlook, fetched_at: datetime, now: datetime, due: datetime | None
) -> None:
    assert due == next_refresh(outlook, POLICY, NYSE, quote(fetched_at), now)
