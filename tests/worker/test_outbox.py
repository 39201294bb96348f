"""The outbox: each mail is sent once if all goes well, later if not, and never at the cost of the queue."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from common.core.models import CallClass, Function
from common.passwords import SCHEME
from common.process.resources import Resources
from common.store.accounts.outbox import claim_mail, insert_mail
from common.store.accounts.resets import KIND
from common.store.accounts.users import insert_user
from common.store.budget import queue
from common.store.connection.pool import acquire
from tests.harness.mail_server import MailServer, mail_server
from tests.worker.test_jobs import after, called
from worker.jobs import work_queue
from worker.outbox import send_mail

HOUR = timedelta(hours=1)


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with mail_server() as served:
        yield served


@pytest.fixture
def mailing(resources: Resources, server: MailServer) -> Resources:
    """A worker's resources, with a mail server."""
    return served_by(resources, server.url)


def served_by(resources: Resources, url: str) -> Resources:
    return replace(resources, settings=replace(resources.settings, smtp_url=url, mail_from="quotes@example.org"))


async def request_reset(resources: Resources, *names: str, lasts: timedelta = HOUR) -> None:
    """Accounts, and for each a mail in the outbox."""
    async with acquire(resources.db) as connection:
        for name in names:
            await insert_user(connection, name, f"{name}@example.com", "hash", SCHEME)
            content = {"name": name, "address": "192.0.2.1", "at": "2026-01-05T12:00:00+00:00", "request_id": "x"}
            await insert_mail(connection, KIND, content, lasts=lasts)


async def waiting(resources: Resources) -> int:
    async with acquire(resources.db) as connection:
        return int(await connection.fetchval("SELECT count(*) FROM outbox"))


async def make_due(resources: Resources) -> None:
    async with acquire(resources.db) as connection:
        await connection.execute("UPDATE outbox SET due_at = now()")


def always() -> bool:
    return True


async def test_a_task_of_the_worker_sends_what_waits(mailing: Resources, server: MailServer) -> None:
    await request_reset(mailing, "ada", "grace")

    await work_queue(mailing, stopping=lambda: len(server.received) == 2)

    assert ["ada@example.com", "grace@example.com"] == server.recipients
    assert 0 == await waiting(mailing)


async def test_workers_at_once_send_each_mail_once(mailing: Resources, server: MailServer) -> None:
    names = [f"user{number}" for number in range(6)]
    await request_reset(mailing, *names)

    await asyncio.gather(*(send_mail(mailing, keep_on=always) for _ in range(3)))

    assert sorted(f"{name}@example.com" for name in names) == sorted(server.recipients)


async def test_a_mail_server_that_hangs_does_not_hold_up_the_queue(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.outbox.SEND_TIMEOUT", 0.5)
    accepted = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        await reader.read()  # until the client gives up
        writer.close()

    hanging = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with hanging:
        mailing = served_by(resources, f"smtp://127.0.0.1:{hanging.sockets[0].getsockname()[1]}")
        await request_reset(mailing, "ada")
        async with acquire(mailing.db) as connection:
            await queue.enqueue(connection, mailing.budget, Function.QUOTE, ["IBM"], CallClass.USER, ttl=HOUR)
        with capture_logs() as logs:
            await work_queue(mailing, stopping=after(5))

    assert accepted.is_set()
    assert ("GLOBAL_QUOTE", "ok") in await called(mailing)
    assert 1 == await waiting(mailing)
    assert [("lost", "mail")] == [(log["event"], log["what"]) for log in logs if log.get("what") == "mail"]


async def test_a_mail_whose_worker_died_is_due_again_later_and_sent(mailing: Resources, server: MailServer) -> None:
    await request_reset(mailing, "ada")
    async with acquire(mailing.db) as connection:
        assert await claim_mail(connection, [KIND]) is not None
    await send_mail(mailing, keep_on=always)
    early = len(server.received)
    await make_due(mailing)
    await send_mail(mailing, keep_on=always)

    assert (0, 1) == (early, len(server.received))


async def test_tries_get_rarer(mailing: Resources, server: MailServer) -> None:
    await request_reset(mailing, "ada")
    waits = []
    for _ in range(9):
        async with acquire(mailing.db) as connection:
            assert await claim_mail(connection, [KIND]) is not None
            waits.append(await connection.fetchval("SELECT due_at - now() > interval '59 minutes' FROM outbox"))
            first = await connection.fetchval("SELECT due_at - now() < interval '31 seconds' FROM outbox")
        assert first == (len(waits) == 1)
        await make_due(mailing)

    assert [False] * 7 + [True] * 2 == waits


async def test_mail_that_expired_or_will_never_be_taken_is_dropped_and_logged(
    mailing: Resources, server: MailServer
) -> None:
    await request_reset(mailing, "ada", lasts=-HOUR)
    await request_reset(mailing, "grace")
    server.refusals.append("550 no such user")
    with capture_logs() as logs:
        await send_mail(mailing, keep_on=always)

    assert {"mail_given_up", "mail_refused"} <= {log["event"] for log in logs}
    assert ([], 0) == (server.received, await waiting(mailing))
    assert "grace@example.com" not in str(logs)


async def test_a_mail_of_another_release_waits_for_a_worker_that_knows_its_kind(
    mailing: Resources, server: MailServer
) -> None:
    async with acquire(mailing.db) as connection:
        await insert_mail(connection, "of_tomorrow", {}, lasts=HOUR)
    await request_reset(mailing, "ada")

    await send_mail(mailing, keep_on=always)

    assert (1, 1) == (len(server.received), await waiting(mailing))


async def test_without_a_mail_server_nothing_is_claimed(resources: Resources) -> None:
    await request_reset(resources, "ada")

    await send_mail(resources, keep_on=always)

    async with acquire(resources.db) as connection:
        assert 0 == await connection.fetchval("SELECT tries FROM outbox")
