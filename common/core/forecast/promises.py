"""When queued requests will be served and tracked symbols refreshed: a simulation of the ledger, choosing as db/functions/choose_call.sql.

`Retry-After`, `next_refresh_at`, the estimate of a job and `quotewell plan` come from it. For each queued request it gives the expected
time of the answer, and one that holds in 95 of 100 cases; for each tracked symbol the time of its next refresh.
Later requests of requesters with fewer calls are served first. The simulation expects as many of them as lately. If more come, a request
whose client was promised a time goes before them from the time `urgent`, which is kept in the queue.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from common.core.forecast.run import Run
from common.core.forecast.situation import LATELY, Key, Situation

DRIFT = 2.0  # seconds; slots may come this much earlier, because the duration of calls varies
TREND = timedelta(hours=1)  # how long people are assumed to ask as often as lately
REACTION = 1.0  # seconds until a process looks at the queue again (common/calls/work.MAX_SLEEP)


@dataclass(frozen=True, slots=True)
class Forecast:
    """`served`: when each queued request is expected to be answered; `surely`: by when in 95 of 100 cases; `urgent`: when its call starts.
    `refreshed`: when symbols are expected to be refreshed next. A symbol of weight w that is not in it: about `period` / sqrt(w) open
    seconds after its quote (0: unknown). `firsts`: when first quotes arrive. What is missing is unknown."""

    made_at: datetime
    served: Mapping[Key, datetime] = field(default_factory=dict)
    surely: Mapping[Key, datetime] = field(default_factory=dict)
    urgent: Mapping[Key, datetime] = field(default_factory=dict)
    refreshed: Mapping[str, datetime] = field(default_factory=dict)
    firsts: Sequence[datetime] = ()
    period: float = 0.0


def forecast(situation: Situation) -> Forecast:
    """Make a forecast. It is empty while the gate is closed, because nobody knows when the provider answers again."""
    if situation.gate.closed:
        return Forecast(situation.at)
    usual, slow = (latency.total_seconds() for latency in situation.latency)
    run = Run(situation, _arrivals(situation), usual)
    run.run()

    def at(seconds: float) -> datetime:
        return situation.at + timedelta(seconds=seconds)

    return Forecast(
        situation.at,
        {key: at(ended) for key, ended in run.served.items()},
        {key: at(ended - usual + slow + REACTION) for key, ended in run.served.items()},
        {key: at(ended - usual - DRIFT) for key, ended in run.served.items()},
        {symbol: at(ended) for symbol, ended in run.refreshed.items()},
        tuple(at(ended) for ended in run.firsts),
        run.period,
    )


def _arrivals(situation: Situation) -> Iterator[tuple[float, bool]]:
    """Expected requests: when (seconds), and whether of a new requester, who is served before requesters with calls.

    As many as lately, for an hour, because ten minutes say nothing about a day; new requesters are spread evenly.
    """
    count, requesters = situation.asked, situation.requesters
    for n in range(count * int(TREND / LATELY)):
        yield (n + 0.5) * LATELY.total_seconds() / count, (n + 1) * requesters // count > n * requesters // count
