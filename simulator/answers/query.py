"""A call as the answers read it: its parameters, its time, and how much of the market it sees."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from simulator.answers.answer import Answer, refusal
from simulator.answers.notices import notice
from simulator.market.bars import Bar, Move, Quote, quote_of
from simulator.market.prices import bars_at, finished_bars_at, finished_move_at, move_at
from simulator.market.universe import Security, Universe

_DELAY = timedelta(minutes=15)

Params = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Provider:
    """What the pretended provider has and grants: `entitled` to premium functions, `unknown` as in Config."""

    universe: Universe
    entitled: bool
    unknown: str


@dataclass(frozen=True, slots=True)
class Query:
    """One call at `now` (aware).

    A key that is entitled names the prices that it wants with `entitlement`, and gets those of the last finished day without it. Other
    keys get the running day without it, as the provider's old plans did.
    """

    provider: Provider
    params: Params
    now: datetime

    @property
    def function(self) -> str:
        return self.params.get("function", "")

    @property
    def symbol(self) -> str:
        """As the caller wrote it."""
        return self.params.get("symbol", "")

    @property
    def market_time(self) -> datetime | None:
        """The time until which the call sees the market; None: only finished days."""
        entitlement = self.params.get("entitlement")
        if entitlement == "delayed":
            return self.now - _DELAY
        return self.now if entitlement == "realtime" or not self.provider.entitled else None

    def security(self, symbol: str | None = None) -> Security | None:
        """The security of a symbol, by default the call's; None if there is none or it is dead."""
        found = self.provider.universe.get((self.symbol if symbol is None else symbol).strip().upper())
        return None if found is None or found.dead else found

    def bars(self, security: Security, count: int) -> list[Bar]:
        """The latest daily bars that the call sees, newest first."""
        if self.market_time is None:
            return finished_bars_at(security.walk, self.now, count)
        return bars_at(security.walk, self.market_time, count)

    def quote(self, security: Security) -> Quote:
        return quote_of(self.bars(security, 2))

    def move(self, security: Security) -> Move:
        if self.market_time is None:
            return finished_move_at(security.walk, self.now)
        return move_at(security.walk, self.market_time)

    def invalid(self) -> Answer:
        """The refusal of a call that lacks a parameter."""
        return refusal("bad_request", function=self.function)

    def no_such_symbol(self) -> Answer:
        """The answer for a symbol without data, in the same words."""
        return Answer("no_data", notice("bad_request", function=self.function))
