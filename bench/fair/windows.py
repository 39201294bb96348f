"""What a virtual day is judged by: calls in sliding windows, counted apart from the ledger that granted them. Pure."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import timedelta

from bench.virtual import Call
from common.core.limits import DAY, Rule
from common.core.models import CallClass
from common.core.provider.outcomes import NO_ANSWER, Outcome


def in_window(period: timedelta, calls: Sequence[Call]) -> list[int]:
    """For each call how many, itself included, may lie in one window that ends with it, wherever between grant and response the
    provider counts each."""
    made = sorted((call for call in calls if call.outcome is not Outcome.UNSENT), key=lambda call: call.at)
    ends = sorted(call.ended for call in made)
    return [n - bisect_right(ends, call.at - period) for n, call in enumerate(made, 1)]


def most_a_day(calls: Sequence[Call]) -> int:
    """The most of these calls in any 24 hours."""
    return max(in_window(DAY, calls), default=0)


def over_limit(limits: Sequence[Rule], calls: Sequence[Call]) -> int:
    """Calls beyond any rule of their account."""
    accounts = {call.account for call in calls}
    return sum(
        count > rule.calls
        for account in accounts
        for rule in limits
        for count in in_window(rule.period, [call for call in calls if call.account == account])
    )


def failed(calls: Sequence[Call]) -> list[Call]:
    """Calls that were written and not answered."""
    return [call for call in calls if call.outcome in NO_ANSWER - {Outcome.UNSENT}]


def of_class(calls: Sequence[Call], call_class: CallClass) -> list[Call]:
    return [call for call in calls if call.call_class is call_class]
