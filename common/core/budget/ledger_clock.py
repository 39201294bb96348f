"""Has the ledger's clock jumped forward? Told by the caller's monotonic clock, which it takes as an argument.

A jump would free every slot at once. Between two asks the ledger's time may not pass by more than the caller lived
through, from before the first ask to after the second answer.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

TOLERANCE = timedelta(milliseconds=50)
DRIFT = 0.0002  # of the time between two asks: clocks that are slewed are no jump


@dataclass(slots=True)
class LedgerClock:
    """The last reading of one process; seconds are monotonic."""

    asked: float | None = None
    at: datetime | None = None

    def jumped(self, *, now: datetime, heard: float) -> bool:
        """Whether the time that was `now` lies further ahead than the time that has passed."""
        if self.asked is None or self.at is None:
            return False
        return now - self.at > timedelta(seconds=(heard - self.asked) * (1 + DRIFT)) + TOLERANCE

    def remember(self, *, asked: float, now: datetime) -> None:
        """From here on this is the time. Of a jump only once it was acted upon: else the next ask would know nothing of it."""
        self.asked, self.at = asked, now
