"""Detect forward jumps of the ledger's clock, by comparing it with the process's monotonic clock, which is passed in.

A jump would free every slot at once. Between two questions to the ledger its time may not advance by more than the monotonic clock did,
from before the first question to after the second answer. That interval includes both round trips, so it is never too short.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

TOLERANCE = timedelta(milliseconds=50)
DRIFT = 0.0002  # of the elapsed time: a slewed clock is no jump


@dataclass(slots=True)
class LedgerClock:
    """The last reading of one process: `asked`, monotonic seconds before the question; `at`, the ledger's time."""

    asked: float | None = None
    at: datetime | None = None

    def jumped(self, *, now: datetime, heard: float) -> bool:
        """Whether the ledger's time `now`, received at `heard`, is further ahead of the last reading than time has passed."""
        if self.asked is None or self.at is None:
            return False
        return now - self.at > timedelta(seconds=(heard - self.asked) * (1 + DRIFT)) + TOLERANCE

    def remember(self, *, asked: float, now: datetime) -> None:
        """Accept this reading as the baseline. After a jump, call it only once the hold is committed, or the jump would be forgotten."""
        self.asked, self.at = asked, now
