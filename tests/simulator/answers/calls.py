"""One market and two keys for it, and what a call of theirs gets."""

from datetime import UTC, datetime
from typing import Any

from simulator.answers.answer import Answer, Table
from simulator.answers.functions import answer
from simulator.answers.query import Provider
from simulator.market.universe import load_universe

NOW = datetime(2026, 11, 20, 19, 14, 59, 291_000, tzinfo=UTC)
UNIVERSE = load_universe(seed=1, dead=["DEAD"])
FREE = Provider(UNIVERSE, entitled=False, unknown="empty_quote")
ENTITLED = Provider(UNIVERSE, entitled=True, unknown="empty_quote")


def answer_to(provider: Provider = FREE, now: datetime = NOW, /, **params: str) -> Answer:
    return answer(provider, {"apikey": "KEY", **params}, now)


def body_of(provider: Provider = FREE, now: datetime = NOW, /, **params: str) -> Any:
    """The JSON, or the text of the CSV."""
    body = answer_to(provider, now, **params).body
    return body.to_csv() if isinstance(body, Table) else body


def outcome_of(provider: Provider = FREE, /, **params: str) -> str:
    return answer_to(provider, **params).outcome
