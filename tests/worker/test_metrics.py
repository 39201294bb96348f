"""What workers count of their tasks."""

import pytest
from prometheus_client import REGISTRY

from worker.metrics import timed


def count(outcome: str) -> float:
    labels = {"task": "quotewell.test", "outcome": outcome}
    return REGISTRY.get_sample_value("quotewell_task_duration_seconds_count", labels) or 0.0


def test_a_task_that_ends_is_ok() -> None:
    before = count("ok")
    with timed("quotewell.test"):
        pass

    assert before + 1 == count("ok")


@pytest.mark.parametrize("end", [ValueError, SystemExit])
def test_a_task_that_raises_has_failed(end: type[BaseException]) -> None:
    ok, failed = count("ok"), count("failed")
    with pytest.raises(end), timed("quotewell.test"):
        raise end

    assert (ok, failed + 1) == (count("ok"), count("failed"))
