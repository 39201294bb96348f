"""What an attack is judged by: statuses, what was let in, acknowledged writes, probes, memory and the log.

It sends nothing; it only counts what it is given, so recorded answers can be judged, too.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

MAX_RSS_GROWTH = 64.0  # MiB of one API process, from warm to the end of the attacks
MAX_SHOWN = 5  # failures of one kind in one group that are printed
MAX_TEXT = 300  # characters of a request or of an answer that are printed
ERRORS = ("error", "critical")  # levels of the log that no client may cause
NOT_ASKED = re.compile(r"Traceback|Task exception was never retrieved|Too many open files")

Kind = Literal["status_500", "let_in", "lost_writes", "probe_failures"]
KINDS: tuple[Kind, ...] = ("status_500", "let_in", "lost_writes", "probe_failures")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer and its request. `status` is 0 if there was none; `why` then says what happened instead."""

    request: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    why: str = ""

    @property
    def code(self) -> str | None:
        return self.body.get("code") if isinstance(self.body, dict) else None

    @property
    def body(self) -> Any:
        try:
            return json.loads(self.text)
        except ValueError:
            return None

    def __str__(self) -> str:
        answer = f"{self.status} {self.text}" if self.status else f"no answer: {self.why}"
        return f"{self.request[:MAX_TEXT]!r} -> {answer[:MAX_TEXT]!r}"


@dataclass
class Judge:
    """Counts requests and failures. `statuses` and `found` are those of the present group."""

    requests: int = 0
    failed: Counter[Kind] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    found: defaultdict[Kind, list[str]] = field(default_factory=lambda: defaultdict(list))
    growth: dict[str, float] = field(default_factory=dict)  # MiB by process

    def fail(self, kind: Kind, what: object) -> None:
        self.failed[kind] += 1
        self.found[kind].append(str(what))

    def count(self, answer: Answer) -> Answer:
        """Count any answer. 500 is a failure whatever was sent."""
        self.requests += 1
        self.statuses[answer.status] += 1
        if answer.status == 500:
            self.fail("status_500", answer)
        return answer

    def must_answer(self, answer: Answer) -> None:
        """A well-formed request gets an answer. One without an answer is the server's failure, as a 500 is."""
        if answer.status == 0:
            self.fail("status_500", answer)

    def must_refuse(self, answer: Answer) -> None:
        """What is forged or not allowed must not succeed."""
        if 0 < answer.status < 400:
            self.fail("let_in", answer)

    def must_keep(self, acknowledged: Collection[str], stored: Collection[str], what: str) -> None:
        """What was answered with a success must be stored."""
        for lost in sorted(set(acknowledged) - set(stored)):
            self.fail("lost_writes", f"{what}: {lost} was acknowledged and is not stored")

    def must_bound(self, taken: int, bound: int, what: str) -> None:
        """No more than a bound may be let in."""
        for _ in range(taken - bound):
            self.fail("let_in", f"{what}: {taken} were taken, at most {bound} are allowed")

    def must_serve(self, answer: Answer) -> None:
        """A probe, and whoever does nothing wrong, get their answer whatever goes on."""
        if not 200 <= answer.status < 300:
            self.fail("probe_failures", answer)

    def read_log(self, name: str, lines: Iterable[str]) -> None:
        """An error in the log is a 500 that perhaps nobody has read."""
        for line in errors_of(lines):
            self.fail("status_500", f"the log of {name}: {line}")

    def begin_group(self) -> None:
        self.statuses.clear()
        self.found.clear()

    def report(self) -> Iterator[str]:
        """The failures of the present group, as lines."""
        for kind, details in self.found.items():
            yield from (f"  {kind}: {each[: 2 * MAX_TEXT + 10]}" for each in details[:MAX_SHOWN])
            if len(details) > MAX_SHOWN:
                yield f"  {kind}: {len(details) - MAX_SHOWN} more"

    @property
    def rss_growth(self) -> float:
        return round(max(self.growth.values(), default=0.0), 1)

    @property
    def holds(self) -> bool:
        return not self.failed.total() and self.rss_growth <= MAX_RSS_GROWTH and self.requests > 0

    def as_json(self) -> dict[str, float]:
        counts: dict[str, float] = {kind: self.failed[kind] for kind in KINDS}
        probes = counts.pop("probe_failures")
        return {
            "requests": self.requests,
            **counts,
            "rss_growth_mib": self.rss_growth,
            "probe_failures": probes,
        }


def errors_of(lines: Iterable[str]) -> Iterator[str]:
    """The lines of a log that report an error of the server: events of these levels, and tracebacks outside of any event."""
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if isinstance(event, dict):
            if event.get("level") in ERRORS:
                yield line
        elif NOT_ASKED.search(line):
            yield line
