"""A forgotten password: the mail, its token, and what neither tells. The API queues, a worker's job sends to a real mail server."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from api.http.keys import RESOURCES
from common.process.resources import Resources
from common.store.connection.pool import acquire
from tests.api.conftest import PASSWORD, Client, OpenApi, register
from tests.harness.mail_server import MailServer, mail_server, text_of
from worker.outbox import send_mail

NEW = "another horse battery"
SITE = "https://quotes.example.org"


@dataclass(frozen=True, slots=True)
class Post:
    """An API process, and the mail server that a worker's job sends to."""

    api: Client
    server: MailServer

    @property
    def resources(self) -> Resources:
        assert self.api.app is not None
        return self.api.app[RESOURCES]

    async def forget(self, name: str, *, field: str = "email") -> tuple[int, dict[str, Any]]:
        response = await self.api.post("/api/auth/forgot", json={field: name})
        return response.status, await response.json()

    async def send(self) -> None:
        """What a worker does at each tick."""
        await send_mail(self.resources, keep_on=lambda: True)

    async def token(self, name: str = "ada@example.com") -> str:
        """Request a mail, and take the token out of it."""
        assert 202 == (await self.forget(name))[0]
        await self.send()
        return token_in(text_of(self.server.received[-1]))

    async def reset(self, token: str, password: str = NEW) -> tuple[int, dict[str, Any]]:
        response = await self.api.post("/api/auth/reset", json={"token": token, "new_password": password})
        return response.status, await response.json()

    async def can_log_in(self, password: str) -> bool:
        response = await self.api.post("/api/auth/login", json={"username": "ada", "password": password})
        return response.status == 200


@pytest.fixture
async def post(open_api: OpenApi) -> AsyncIterator[Post]:
    async with mail_server() as server:
        mail = {"smtp_url": server.url, "mail_from": "quotes@example.org", "public_url": SITE}
        api = await open_api(**mail, refuses_common_passwords=True)
        await register(api, "ada")
        yield Post(api, server)


def token_in(text: str) -> str:
    found = re.search(r"/reset#(\S+)", text)
    assert found is not None
    return found[1]


async def test_a_token_by_mail_replaces_a_forgotten_password_and_ends_what_was_open(post: Post) -> None:
    grace = await register(post.api, "grace")
    login = await (await post.api.post("/api/auth/login", json={"username": "ada", "password": PASSWORD})).json()
    token = await post.token()

    assert (200, "the password was changed; log in with it") == (
        (done := await post.reset(token))[0],
        done[1]["message"],
    )
    assert (False, True) == (await post.can_log_in(PASSWORD), await post.can_log_in(NEW))
    again = await post.api.post("/api/auth/refresh", json={"refresh_token": login["refresh_token"]})
    other = await post.api.post("/api/auth/refresh", json={"refresh_token": grace.refresh_token})
    assert (401, 200) == (again.status, other.status)


async def test_the_mail_says_who_what_when_and_where_from_and_holds_the_token_as_link_and_as_code(post: Post) -> None:
    token = await post.token()

    [message] = post.server.received
    text = text_of(message)
    assert ["ada@example.com"] == post.server.recipients
    assert f"{SITE}/reset#{token}\n" in text
    assert f"\n{token}\n" in text
    assert "Hello ada,\n" in text
    assert re.search(r"\nTime: \d{4}-\d\d-\d\d \d\d:\d\d UTC\nAddress: 127\.0\.0\.1\n", text)
    assert "30 minutes" in text
    assert "text/plain" == message.get_content_type()


@pytest.mark.parametrize(
    ("field", "name"), [("email", "ADA@example.com"), ("username", " ada "), ("username", "ada@example.com")]
)
async def test_the_account_may_be_named_as_at_a_login(post: Post, field: str, name: str) -> None:
    assert 202 == (await post.forget(name, field=field))[0]
    await post.send()

    assert ["ada@example.com"] == post.server.recipients


async def test_an_unknown_account_gets_the_same_answer_after_the_same_time_and_no_mail(post: Post) -> None:
    answers, fastest = [], []
    for name in ("ada@example.com", "nobody@example.com"):
        times = []
        for _ in range(4):
            start = time.perf_counter()
            response = await post.api.post("/api/auth/forgot", json={"email": name})
            times.append(time.perf_counter() - start)
        answers.append((response.status, await response.text(), sorted(response.headers)))
        fastest.append(min(times))
    async with acquire(post.resources.db) as connection:
        queued = await connection.fetchval("SELECT count(*) FROM outbox")
    await post.send()

    assert 202 == answers[0][0]
    assert answers[0] == answers[1]
    assert fastest[0] / 4 < fastest[1] < fastest[0] * 4
    assert 8 == queued
    assert {"ada@example.com"} == set(post.server.recipients)


async def test_a_locked_account_gets_no_mail_and_its_token_is_void(post: Post, db: asyncpg.Pool) -> None:
    token = await post.token()
    await db.execute("UPDATE users SET locked_at = now()")
    await post.forget("ada")
    await post.send()

    assert 1 == len(post.server.received)
    assert (401, "invalid_token") == ((answer := await post.reset(token))[0], answer[1]["code"])


async def test_a_token_is_good_once_for_half_an_hour_and_until_the_next_one(post: Post, db: asyncpg.Pool) -> None:
    first, second = await post.token(), await post.token()
    void, good, used = [await post.reset(token) for token in (first, second, second)]
    late = await post.token()
    await db.execute("UPDATE password_resets SET expires_at = now()")
    expired, unknown = await post.reset(late), await post.reset("x" * 43)

    assert [401, 200, 401, 401, 401] == [answer[0] for answer in (void, good, used, expired, unknown)]
    assert {"invalid_token"} == {answer[1]["code"] for answer in (void, used, expired, unknown)}


async def test_of_two_resets_at_once_one_succeeds(post: Post) -> None:
    token = await post.token()
    answers = await asyncio.gather(post.reset(token, NEW), post.reset(token, "yet another horse"))

    assert [200, 401] == sorted(status for status, _ in answers)


async def test_a_password_that_is_refused_leaves_the_token_good(post: Post) -> None:
    token = await post.token()
    short, own_name = await post.reset(token, "short"), await post.reset(token, "ada@example.com")

    assert [(400, "invalid_request")] * 2 == [(answer[0], answer[1]["code"]) for answer in (short, own_name)]
    assert 200 == (await post.reset(token))[0]


async def test_a_change_of_the_password_makes_a_token_void(post: Post) -> None:
    token = await post.token()
    login = await (await post.api.post("/api/auth/login", json={"username": "ada", "password": PASSWORD})).json()
    change = {"current_password": PASSWORD, "new_password": NEW}
    headers = {"Authorization": f"Bearer {login['access_token']}"}

    assert 200 == (await post.api.post("/api/auth/password", json=change, headers=headers)).status
    assert 401 == (await post.reset(token, PASSWORD))[0]


async def test_an_account_gets_three_mails_in_half_an_hour_and_the_last_one_is_good(
    post: Post, db: asyncpg.Pool
) -> None:
    for _ in range(5):
        await post.forget("ada")
    await post.send()
    assert 3 == len(post.server.received)

    await db.execute(
        "UPDATE password_resets SET issued_at = issued_at - interval '30 minutes' WHERE ended_at IS NOT NULL"
    )
    await post.forget("ada")
    await post.send()
    assert 4 == len(post.server.received)
    assert 200 == (await post.reset(token_in(text_of(post.server.received[-1]))))[0]


@pytest.mark.usefixtures("patient_redis")
async def test_a_network_may_request_ten_mails_an_hour_whomever_they_are_for(post: Post) -> None:
    answers = [await post.forget(f"nobody{number}") for number in range(11)]

    assert [202] * 10 + [429] == [status for status, _ in answers]
    assert "rate_limited" == answers[-1][1]["code"]


async def test_a_request_and_a_reset_stand_in_the_audit_and_what_is_stored_has_no_token(
    post: Post, db: asyncpg.Pool
) -> None:
    await post.forget("nobody@example.com")
    with capture_logs() as logs:
        token = await post.token()
        await post.reset(token)
    acts = await db.fetch(
        "SELECT event, actor, user_id IS NULL, address FROM audit WHERE event LIKE '%reset%' ORDER BY id"
    )
    stored = str([await db.fetch(f"SELECT * FROM {table}") for table in ("outbox", "password_resets", "audit")])

    user = f"user:{await db.fetchval('SELECT id FROM users')}"
    assert [
        ("reset_requested", "anybody", True, "127.0.0.1"),
        ("reset_requested", "anybody", False, "127.0.0.1"),
        ("password_reset", user, False, "127.0.0.1"),
    ] == [tuple(act) for act in acts]
    assert token not in stored + str(logs)
    assert "nobody" not in stored


async def test_a_mail_server_that_is_away_is_not_noticed_by_the_caller_and_the_mail_is_sent_later(
    post: Post, db: asyncpg.Pool
) -> None:
    post.server.refusals += ["451 come again later", "451 come again later"]
    status, _ = await post.forget("ada")
    for _ in range(3):
        await post.send()
        assert [] == post.server.received or post.server.refusals == []
        await db.execute("UPDATE outbox SET due_at = now()")

    assert 202 == status
    assert 1 == len(post.server.received)
    assert 0 == await db.fetchval("SELECT count(*) FROM outbox")
    assert 1 == await db.fetchval("SELECT count(*) FROM audit WHERE event = 'reset_requested'")
    assert 200 == (await post.reset(token_in(text_of(post.server.received[0]))))[0]


async def test_a_retry_after_the_token_was_used_sends_nothing(post: Post, db: asyncpg.Pool) -> None:
    """The server had taken the mail, but its answer was lost: so the mail is still in the outbox."""
    await post.forget("ada")
    await db.execute("CREATE TABLE kept AS SELECT * FROM outbox")
    await post.send()
    await db.execute("INSERT INTO outbox OVERRIDING SYSTEM VALUE SELECT * FROM kept; UPDATE outbox SET tries = 1")
    assert 200 == (await post.reset(token_in(text_of(post.server.received[0]))))[0]
    await post.send()

    assert (1, 0) == (len(post.server.received), await db.fetchval("SELECT count(*) FROM outbox"))


@pytest.mark.parametrize(
    "body", [{}, {"email": "a@b", "username": "a"}, {"email": ""}, {"email": 7}, {"email": "x" * 256}, {"name": "ada"}]
)
async def test_a_request_that_names_no_account_is_refused(post: Post, body: dict[str, object]) -> None:
    response = await post.api.post("/api/auth/forgot", json=body)

    assert (400, "invalid_request") == (response.status, (await response.json())["code"])


async def test_without_a_mail_server_both_routes_say_so(api: Client) -> None:
    forgot = await api.post("/api/auth/forgot", json={"email": "ada@example.com"})
    reset = await api.post("/api/auth/reset", json={"token": "x", "new_password": NEW})

    for response in (forgot, reset):
        assert (403, "reset_unavailable") == (response.status, (await response.json())["code"])


async def test_without_an_address_of_the_site_the_mail_has_the_code_alone(open_api: OpenApi) -> None:
    async with mail_server() as server:
        post = Post(await open_api(smtp_url=server.url, mail_from="quotes@example.org"), server)
        await register(post.api, "ada")
        await post.forget("ada")
        await post.send()
        text = text_of(server.received[0])
        found = re.search(r"^[A-Za-z0-9_-]{43}$", text, re.M)

        assert "://" not in text
        assert found is not None
        assert 200 == (await post.reset(found[0]))[0]
