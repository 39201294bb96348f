"""When will it have happened? What the ledger will do from now on, run ahead as db/functions/choose_call.sql would choose.

One function: `Retry-After`, `next_refresh_at`, the estimate of a job and `quotewell plan` come from it. Each queued request gets the time
when it is expected to be answered, and one by which it will have been in 95 of 100 cases; each wanted symbol that of its next refresh.
Those who join later and had fewer calls go before others. As many as usual are reckoned with; if more come, a request whose time was
told goes before them from the call on that it was promised (`urgent`, kept in the line).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from common.core.forecast.run import Run
from common.core.forecast.situation import LATELY, Key, Situation

DRIFT = 2.0  # seconds that slots may come earlier, since calls take longer or shorter than reckoned
TREND = timedelta(hours=1)  # for which people are taken to ask as often as lately
REACTION = 1.0  # seconds until a process looks at the line again (common/calls/work.LONGEST_SLEEP)


@dataclass(frozen=True, slots=True)
class Forecast:
    """`served` and `surely`: when each queued request is expected to have been answered, and by when it will have been in 95 of 100 cases;
    `urgent`: when its call goes.
    `refreshed`: when symbols are expected to be refreshed next; one of root weight r that is not among them, about `period` / r open
    seconds after its quote (0: nobody knows). `firsts`: when background asks for first quotes. What is missing is unknown."""

    made_at: datetime
    served: Mapping[Key, datetime] = field(default_factory=dict)
    surely: Mapping[Key, datetime] = field(default_factory=dict)
    urgent: Mapping[Key, datetime] = field(default_factory=dict)
    refreshed: Mapping[str, datetime] = field(default_factory=dict)
    firsts: Sequence[datetime] = ()
    period: float = 0.0


def forecast(situation: Situation) -> Forecast:
    """What is expected, and what is nearly sure. With the gate closed nothing is."""
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
    """Requests of people that have not come yet, as often as lately, for an hour: ten minutes say nothing of a day. Those of new requesters
    go before who had a call; so they are told apart, evenly."""
    count, requesters = situation.asked, situation.requesters
    for n in range(count * int(TREND / LATELY)):
        yield (n + 0.5) * LATELY.total_seconds() / count, (n + 1) * requesters // count > n * requesters // count
