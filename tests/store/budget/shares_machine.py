"""A model of who may spend what against the real ledger: users, strangers and operators ask, lists lack quotes, background goes on.

Every call is answered at once, so a window holds just the calls that were granted in it. The model counts for itself; only the sizes of
the ceilings come from common/core/budget/shares.py.
"""

import json
from dataclasses import dataclass
from datetime import timedelta

import hypothesis.strategies as st
import psycopg
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from common.core.budget.shares import Shares, ceilings, most_of_one
from common.core.limits import DAY, LEASE, Rule, longest_period, parse_limits, slowest
from tests.harness.database import EMPTY
from tests.store.conftest import START

GRANT = """
SELECT call, class, subjects, wait, reason FROM grant_call(
    'a', 'simulated', 'machine', %(calls)s::int[], %(periods)s::interval[], %(lease)s, %(groups)s::text[], %(most)s::int[],
    %(windows)s::interval[], %(each)s::jsonb, %(gap)s, %(clock)s, 2, interval '1 day', 1
)
"""
JOIN = "SELECT join_line('a', 'GLOBAL_QUOTE', %s, %s, %s, 'simulated', interval '1000 days', false, 1000, 1000)"
LIMITS = ("5/1min", "10/1min", "5/1min,40/1d", "20/1min,50/1d")
REFRESHED = 8  # watched symbols that have a quote
ASKERS = ("user:1001", "user:1002", "user:1003", "network:a", "network:b")


@dataclass(frozen=True, slots=True)
class Made:
    """One call: when, for which class, by whom, and the groups that it counts for."""

    at: timedelta
    call_class: str
    requester: str | None
    groups: frozenset[str]


class SharesMachine(RuleBasedStateMachine):
    """`connection` points at a database with a replaced ledger_now(); every run starts from an empty ledger."""

    connection: psycopg.Connection

    @initialize(limits=st.sampled_from(LIMITS), refreshed=st.sampled_from((0, REFRESHED)))
    def begin(self, limits: str, refreshed: int) -> None:
        self.connection.execute(EMPTY)
        self.limits: tuple[Rule, ...] = parse_limits(limits, "limits")
        self.ceilings = ceilings(self.limits, Shares(), reserve=0.2, quoted=refreshed)
        self.refreshed = refreshed
        self.quoted = False  # what an account watches has its first quote: it is refreshed from then on
        self.now = timedelta()
        self.made: list[Made] = []
        self.waiting: dict[str, tuple[str, str | None]] = {}
        self.lacking: dict[int, list[str]] = {}
        self.names = 0
        self._pass(timedelta())
        for n in range(refreshed):
            self.connection.execute(
                "INSERT INTO symbols (symbol, watchers, source) VALUES (%s, 1, 'simulated')", [f"R{n}"]
            )

    def _pass(self, time: timedelta) -> None:
        self.now += time
        self.connection.execute("UPDATE test_clock SET at = %s", [START + self.now])

    def _name(self) -> str:
        self.names += 1
        self.connection.execute(
            "INSERT INTO listings (source, symbol, name, exchange, asset_type) VALUES ('simulated', %s, '', '', '')",
            [f"S{self.names}"],
        )
        return f"S{self.names}"

    @rule(requester=st.sampled_from(ASKERS), many=st.integers(1, 12))
    def somebody_waits(self, requester: str, many: int) -> None:
        call_class = "user" if requester.startswith("user") else "stranger"
        for name in [self._name() for _ in range(many)]:
            self.connection.execute(JOIN, [[name], call_class, requester])
            self.waiting[name] = (call_class, requester)

    @rule(many=st.integers(1, 12))
    def an_operator_orders(self, many: int) -> None:
        names = [self._name() for _ in range(many)]
        self.connection.execute(JOIN, [names, "operator", None])
        self.waiting |= dict.fromkeys(names, ("operator", None))

    @rule(who=st.integers(1, 2), many=st.integers(1, 6))
    def an_account_watches(self, who: int, many: int) -> None:
        if who not in self.lacking:
            self.lacking[who] = []
            self.connection.execute(
                """
                INSERT INTO users (id, username, email, password_hash, password_scheme) OVERRIDING SYSTEM VALUE VALUES (%s, %s, %s, '', '')
                """,
                [who, f"u{who}", f"{who}@x"],
            )
        for name in [self._name() for _ in range(many)]:
            self.connection.execute("INSERT INTO watchlist_items (user_id, symbol) VALUES (%s, %s)", [who, name])
            self.lacking[who].append(name)

    @rule(time=st.floats(0.5, 90))
    def time_passes(self, time: float) -> None:
        self._pass(timedelta(seconds=time))

    @rule()
    def a_morning_passes(self) -> None:
        self._pass(timedelta(hours=6))

    @rule(many=st.integers(1, 30))
    def it_is_asked_as_told(self, many: int) -> None:
        for _ in range(many):
            told = self._ask()
            if isinstance(told, timedelta):
                self._pass(told)
            elif told is None:
                return

    def _ask(self) -> Made | timedelta | None:
        """One question; what was granted is checked and answered. A wait, or None where only new demand changes anything."""
        row = self.connection.execute(GRANT, self._parameters()).fetchone()
        assert row is not None
        call, call_class, subjects, wait, reason = row
        if call is None:
            if reason == "idle":
                self._check_idle()
            return wait  # type: ignore[no-any-return]
        return self._take(call, call_class, subjects[0])

    def _parameters(self) -> dict[str, object]:
        return {
            "calls": [rule.calls for rule in self.limits],
            "periods": [rule.period for rule in self.limits],
            "lease": LEASE,
            "groups": [ceiling.group for ceiling in self.ceilings],
            "most": [ceiling.calls for ceiling in self.ceilings],
            "windows": [ceiling.period for ceiling in self.ceilings],
            "each": json.dumps(dict(most_of_one(self.limits, Shares()))),
            "gap": timedelta(minutes=1 / slowest(self.limits).per_minute),
            "clock": 1e6 + self.now.total_seconds(),
        }

    def _take(self, call: int, call_class: str, subject: str) -> Made:
        requester = self._asker(call_class, subject)
        groups = {"user": {"waiting"}, "stranger": {"waiting", "stranger"}, "operator": {"waiting"}, "first": {"first"}}
        made = Made(self.now, call_class, requester, frozenset(groups.get(call_class, set())))
        self._check_turn(made)
        self._check_ceilings(made)
        self._check_least(made)
        self.made.append(made)
        self.waiting.pop(subject, None)
        for lacking in self.lacking.values():
            if subject in lacking:
                lacking.remove(subject)
                self.quoted = True
        self.connection.execute("UPDATE calls SET outcome = 'ok', ends_at = ledger_now() WHERE id = %s", [call])
        self.connection.execute("DELETE FROM demand WHERE call = %s", [call])
        self.connection.execute("DELETE FROM attempts WHERE symbol = %s", [subject])
        self.connection.execute(
            "UPDATE symbols SET source = 'simulated', clock = %s WHERE symbol = %s",
            [self._parameters()["clock"], subject],
        )
        return made

    def _asker(self, call_class: str, subject: str) -> str | None:
        if call_class in ("user", "stranger", "operator"):
            assert call_class == self.waiting[subject][0]
            return self.waiting[subject][1]
        return next((f"user:{who}" for who, names in self.lacking.items() if subject in names), None)

    def _within(self, period: timedelta, group: str) -> int:
        return sum(group in made.groups and made.at > self.now - period for made in self.made)

    def _used(self, requester: str | None, call_class: str | None = None) -> int:
        span = longest_period(self.limits)
        return sum(
            made.requester == requester and call_class in (None, made.call_class) and made.at > self.now - span
            for made in self.made
        )

    def _check_ceilings(self, made: Made) -> None:
        for ceiling in self.ceilings:
            binds = ceiling.period >= DAY or self.refreshed > 0
            if ceiling.group in made.groups and binds:
                assert self._within(ceiling.period, ceiling.group) < ceiling.calls, f"{ceiling} broken by {made}"
        most = most_of_one(self.limits, Shares()).get(made.call_class)
        if most is not None:
            assert self._used(made.requester, made.call_class) < most, f"one of {made.call_class} has too much"

    def _check_least(self, made: Made) -> None:
        """Nobody of the class who could have been served had fewer calls."""
        most = most_of_one(self.limits, Shares()).get(made.call_class)
        if made.call_class in ("user", "stranger"):
            rivals = {requester for call_class, requester in self.waiting.values() if call_class == made.call_class}
        elif made.call_class == "first":
            rivals = {f"user:{who}" for who, names in self.lacking.items() if names}
        else:
            return
        able = {rival for rival in rivals if most is None or self._used(rival, made.call_class) < most}
        assert self._used(made.requester) <= min(map(self._used, able)), f"{made.requester} had its turn before {able}"

    def _check_turn(self, made: Made) -> None:
        """No two first quotes follow each other in background while a refresh is due."""
        background = [each for each in self.made if each.call_class in ("first", "refresh")]
        if made.call_class == "first" and background and self.refreshed and background[-1].call_class == "first":
            due = self.connection.execute(
                "SELECT count(*) FROM symbols WHERE source = 'simulated' AND watchers > 0 AND clock < %s",
                [1e6 + self.now.total_seconds()],
            ).fetchone()
            assert due == (0,), "two first quotes in a row"

    def _check_idle(self) -> None:
        """If a slot is free and not granted, every waiting class is at its ceiling and leaves the slot to background."""
        most = most_of_one(self.limits, Shares())
        for call_class, requester in set(self.waiting.values()):
            groups = {"waiting", "stranger"} if call_class == "stranger" else {"waiting"}
            full = [
                ceiling
                for ceiling in self.ceilings
                if ceiling.group in groups
                and self._within(ceiling.period, ceiling.group) >= ceiling.calls
                and (ceiling.period >= DAY or self.refreshed > 0 or self.quoted or any(self.lacking.values()))
            ]
            alone = call_class in most and self._used(requester, call_class) >= most[call_class]
            assert full or alone, f"a slot idles, and {call_class} {requester} waits"

    @precondition(lambda self: self.waiting and not self.refreshed and not self.quoted)
    @rule()
    def without_background_a_minute_is_used_up(self) -> None:
        """While a request below the day's ceilings waits and nothing else is due, every slot is granted."""
        for _ in range(sum(limit.calls for limit in self.limits)):
            if not isinstance(self._ask(), Made):
                return
