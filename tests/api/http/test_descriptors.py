"""The limit of descriptors is raised, the process's own bounds stay below it, and what cannot be accepted is a line in the log."""

import asyncio
import errno
import os
import resource
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from api.http import descriptors
from api.http.descriptors import MAX_CONNECTIONS, count_places, handle_exception, raise_limit, watch
from tests.harness.polling import eventually

LIMIT = resource.RLIMIT_NOFILE


@pytest.fixture(autouse=True)
def unlogged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "_logged_at", {})


@pytest.fixture
def low() -> Iterator[int]:
    """A soft limit below the hard one; the hard one."""
    soft, hard = resource.getrlimit(LIMIT)
    resource.setrlimit(LIMIT, (min(soft, 4000), hard))
    yield hard
    resource.setrlimit(LIMIT, (soft, hard))


def test_the_soft_limit_is_raised_to_the_hard_one(low: int) -> None:
    raise_limit()

    assert (low, low) == resource.getrlimit(LIMIT)


@pytest.mark.parametrize(
    ("soft", "places"),
    [(64, 32), (256, 128), (1024, 896), (4096, 3968), (1_048_576, MAX_CONNECTIONS)],
)
def test_connections_leave_descriptors_for_all_else(monkeypatch: pytest.MonkeyPatch, soft: int, places: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))

    assert places == count_places() < soft


def test_an_unlimited_process_has_a_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    assert MAX_CONNECTIONS == count_places()


async def test_what_asyncio_cannot_accept_is_logged_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    error = OSError(errno.EMFILE, "Too many open files")
    context = {"message": "socket.accept() out of system resource", "exception": error}
    with capture_logs() as logged:
        for _ in range(3):
            handle_exception(asyncio.get_running_loop(), context)
        monkeypatch.setattr(descriptors, "LOG_INTERVAL", -1.0)  # as if it were over
        handle_exception(asyncio.get_running_loop(), context)

    assert [("accept_failed", "error", "EMFILE")] * 2 == [
        (line["event"], line["log_level"], line["reason"]) for line in logged
    ]


async def test_no_descriptor_left_is_logged_also_where_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(descriptors, "CHECK_INTERVAL", 0.0)
    monkeypatch.setattr(os, "open", refuse)
    with capture_logs() as logged:
        watching = asyncio.create_task(watch())

        async def is_logged() -> bool:
            return bool(logged)

        await eventually(is_logged)
        watching.cancel()

    assert ["accept_failed"] == [line["event"] for line in logged]


async def test_another_failure_of_the_loop_goes_to_its_own_handler(caplog: pytest.LogCaptureFixture) -> None:
    with capture_logs() as logged:
        handle_exception(
            asyncio.get_running_loop(), {"message": "something else", "exception": OSError(errno.EPIPE, "")}
        )

    assert [] == logged
    assert "something else" in caplog.text
