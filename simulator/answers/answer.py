"""What an answer is: an outcome for the journal and a body, which is JSON or a table. It does not know when one is due."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import StringIO

from simulator.answers.notices import notice

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV file: its name without the ending, its columns and its rows."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]

    @classmethod
    def of(cls, name: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> "Table":
        return cls(name, tuple(columns), tuple(tuple(row) for row in rows))

    def to_csv(self) -> str:
        """CSV as Alpha Vantage writes it, with CRLF."""
        text = StringIO()
        csv.writer(text, lineterminator="\r\n").writerows((self.columns, *self.rows))
        return text.getvalue()


@dataclass(frozen=True, slots=True)
class Answer:
    """`outcome` is what the journal notes. `table` has the values of a JSON body, for calls that want CSV."""

    outcome: str
    body: Json | Table
    table: Table | None = None
    status: int = 200


def refusal(name: str, *, key: str = "", function: str = "") -> Answer:
    return Answer(f"notice:{name}", notice(name, key=key, function=function))
