"""Detect forward jumps of the ledger's clock, by comparing it with the process's monotonic clock, which is passed in.

A jump would free every slot at once. Between two questions to the ledger its time may not advance by more than the monotonic clock did,
from before the first question to after the second answer. That interval includes both round trips, so it is never too short.

A clock that runs fast jumps a little between any two questions. So each reading is compared with the lowest one of the last period, in
which such jumps add up: a clock that gains 50 ms within the period of a rule could already let one call too many pass.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

TOLERANCE = timedelta(milliseconds=50)
DRIFT = 0.0002  # of the elapsed time: a slewed clock is no jump


@dataclass(frozen=True, slots=True)
class Reading:
    """`asked`: monotonic seconds before the question; `at`: the ledger's time."""

    asked: float
    at: datetime

    def is_below(self, other: "Reading") -> bool:
        """Whether the ledger's clock was further behind the monotonic clock than at the other reading."""
        return self.at - other.at < timedelta(seconds=self.asked - other.asked)


@dataclass(slots=True)
class LedgerClock:
    """The readings of one process: the lowest of this `period` and that of the one before."""

    period: timedelta
    lowest: Reading | None = None
    before: Reading | None = None
    begun: float = 0.0  # when this period began, on the monotonic clock

    def jumped(self, *, now: datetime, heard: float) -> bool:
        """Whether the ledger's time `now`, received at `heard`, is further ahead of an earlier reading than time has passed."""
        return any(
            now - reading.at > timedelta(seconds=(heard - reading.asked) * (1 + DRIFT)) + TOLERANCE
            for reading in (self.lowest, self.before)
            if reading is not None
        )

    def remember(self, *, asked: float, now: datetime) -> None:
        """Remember a reading that is no jump."""
        reading = Reading(asked, now)
        if self.lowest is None or asked - self.begun >= self.period.total_seconds():
            self.before, self.lowest, self.begun = self.lowest, reading, asked
        elif reading.is_below(self.lowest):
            self.lowest = reading

    def restart(self, *, asked: float, now: datetime) -> None:
        """Accept a jump as the new time. Call it only once the hold is committed, or the jump would be forgotten."""
        self.lowest = self.before = None
        self.remember(asked=asked, now=now)
