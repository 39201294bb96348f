"""What the tests of counted attempts share."""

import time
from types import SimpleNamespace

import pytest


@pytest.fixture
def patient_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait five seconds for Redis, not a quarter. Here all processes and their hashes share one event loop: on a busy machine Redis
    seems away at the default, and then each process counts for itself, as it should."""
    monkeypatch.setattr("common.process.resources.REDIS_TIMEOUT", 5.0)
    monkeypatch.setattr("api.http.tally.REDIS_TIMEOUT", 5.0)


@pytest.fixture
def one_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock of counted attempts: if a window ended amid a test, its counts would begin anew."""
    now = time.time()
    monkeypatch.setattr("api.http.tally.time", SimpleNamespace(time=lambda: now))
