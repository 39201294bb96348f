"""A model of the provider against the real ledger: callers ask, answers come late or never, processes die, clocks step back.

True time and the ledger's time are apart: a step back moves only the latter. The provider counts arrivals in true time, anywhere between
grant and response (or the lease's end, where nobody heard of one), and must never see more than a rule allows.
"""

from dataclasses import dataclass
from datetime import timedelta

import hypothesis.strategies as st
import psycopg
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from common.core.limits import LEASE, Rule, longest_period, parse_limits
from tests.harness.database import EMPTY
from tests.store.conftest import START

GRANT = """
SELECT call, subjects, class, wait, reason FROM grant_call(
    'a', 'simulated', 'machine', %s::int[], %s::interval[], %s, '{}', '{}', '{}', '{}', NULL, 0, 0, interval '1 day', 1
)
"""
JOIN = "SELECT join_line('a', 'GLOBAL_QUOTE', %s, %s, NULL, 'simulated', interval '1000 days', false, 100000, 0)"
CLASSES = ("user", "stranger", "operator")  # in the order in which they are served
RULES = ("1/2s,3/10s", "5/1min", "2/1s,5/1min,7/1d", "1/1min", "3/7s,4/1min")
AWAY = timedelta(seconds=11)  # the longest that a response may take: the permit sees to it


@dataclass(slots=True)
class Call:
    """One call under way: true time of its grant."""

    id: int
    granted: timedelta
    subject: str


class LedgerMachine(RuleBasedStateMachine):
    """`connection` points at a database with a replaced ledger_now(); every run starts from an empty ledger."""

    connection: psycopg.Connection

    @initialize(limits=st.sampled_from(RULES))
    def begin(self, limits: str) -> None:
        self.connection.execute(EMPTY)
        self.limits: tuple[Rule, ...] = parse_limits(limits, "limits")
        self.true = timedelta()
        self.offset = timedelta()
        self.under_way: list[Call] = []
        self.arrivals: list[timedelta] = []
        self.waiting: dict[str, str] = {}
        self.names = 0
        self._tell_time()

    def _tell_time(self) -> None:
        self.connection.execute("UPDATE test_clock SET at = %s", [START + self.true + self.offset])

    def _pass(self, time: timedelta) -> None:
        self.true += time
        self._tell_time()

    def _ask(self) -> Call | timedelta | None:
        row = self.connection.execute(
            GRANT, [[r.calls for r in self.limits], [r.period for r in self.limits], LEASE]
        ).fetchone()
        assert row is not None
        call, subjects, call_class, wait, reason = row
        if call is None:
            assert reason in ("limit", "idle")
            return wait if reason == "limit" else None
        assert min(self.waiting.values(), key=CLASSES.index) == call_class == self.waiting.pop(subjects[0])
        self.under_way.append(Call(call, self.true, subjects[0]))
        return self.under_way[-1]

    @rule(call_class=st.sampled_from(CLASSES))
    def somebody_wants(self, call_class: str) -> None:
        self.names += 1
        self.waiting[f"S{self.names}"] = call_class
        self.connection.execute(JOIN, [[f"S{self.names}"], call_class])

    @rule(time=st.floats(0.001, 90))
    def time_passes(self, time: float) -> None:
        # A response comes within its bound: who has waited longer is dead, and the lease counts for it.
        self._pass(timedelta(seconds=time))
        for call in [call for call in self.under_way if self.true - call.granted > AWAY]:
            self._dies(call, 1.0)

    @precondition(lambda self: self.waiting)
    @rule()
    def somebody_asks(self) -> None:
        self._ask()

    @precondition(lambda self: self.waiting)
    @rule()
    def somebody_waits_exactly_as_told_and_asks_again(self) -> None:
        told = self._ask()
        if isinstance(told, timedelta):
            for call in list(self.under_way):
                self._dies(call, 1.0)
            told = self._ask()
            assert isinstance(told, timedelta)
            self._pass(told)
            assert isinstance(self._ask(), Call)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 20), arrived=st.floats(0, 1))
    def a_response_arrives(self, which: int, arrived: float) -> None:
        call = self.under_way.pop(which % len(self.under_way))
        self.arrivals.append(call.granted + (self.true - call.granted) * arrived)
        self._settle(call, "ok")

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 20), arrived=st.floats(0, 1))
    def a_process_dies(self, which: int, arrived: float) -> None:
        self._dies(self.under_way[which % len(self.under_way)], arrived)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 20))
    def a_call_is_never_written(self, which: int) -> None:
        self._settle(self.under_way.pop(which % len(self.under_way)), "unsent")

    @rule(back=st.floats(0.001, 300))
    def the_clock_steps_back(self, back: float) -> None:
        for call in list(self.under_way):
            self._dies(call, 1.0)
        self.offset -= timedelta(seconds=back)
        self._tell_time()

    @rule()
    def after_lease_and_period_every_slot_is_free(self) -> None:
        for call in list(self.under_way):
            self._dies(call, 1.0)
        self._pass(LEASE + longest_period(self.limits) - self.offset)
        self.offset = timedelta()
        self._tell_time()
        self.somebody_wants("user")
        assert isinstance(self._ask(), Call)

    def _settle(self, call: Call, outcome: str) -> None:
        self.connection.execute(
            "UPDATE calls SET outcome = %s, ends_at = ledger_now() WHERE id = %s", [outcome, call.id]
        )
        self.connection.execute("DELETE FROM demand WHERE call = %s", [call.id])

    def _dies(self, call: Call, arrived: float) -> None:
        """Nobody settles it. It may have reached the provider as late as the lease's end; its demand is taken out."""
        self.under_way.remove(call)
        self.arrivals.append(call.granted + LEASE * arrived)
        self.connection.execute("DELETE FROM demand WHERE call = %s", [call.id])

    @invariant()
    def no_window_holds_more_than_a_rule_allows(self) -> None:
        seen = sorted(getattr(self, "arrivals", ()))
        for limit in getattr(self, "limits", ()):
            for first, last in zip(seen, seen[limit.calls :], strict=False):
                assert last - first >= limit.period, f"{limit} broken: {limit.calls + 1} within {last - first}"
