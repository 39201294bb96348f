"""Register, log in, who am I."""

import asyncio
import json
import time
from datetime import datetime

import asyncpg
import jwt
import pytest

from common.store.accounts.users import insert_user
from tests.api.conftest import PASSWORD, Client, OpenApi, User

ADA = {"username": "Ada", "email": "Ada@Example.com", "password": PASSWORD}
USER = {"id", "username", "email", "created_at"}


async def test_registering_answers_the_account_and_a_token(api: Client) -> None:
    response = await api.post("/api/auth/register", json=ADA)
    body = await response.json()

    assert 201 == response.status
    assert {"message", "access_token", "user"} <= set(body)
    assert USER == set(body["user"])
    assert ("Ada", "Ada@Example.com") == (body["user"]["username"], body["user"]["email"])
    assert isinstance(body["user"]["id"], int)
    assert datetime.fromisoformat(body["user"]["created_at"]).tzinfo is not None
    assert "no-store" == response.headers["Cache-Control"]


@pytest.mark.parametrize("name", ["ada", "ADA", "ada@example.com", " Ada@Example.com "])
async def test_login_is_by_name_or_email_in_any_case(api: Client, ada: User, name: str) -> None:
    response = await api.post("/api/auth/login", json={"username": name, "password": PASSWORD})
    body = await response.json()

    assert 200 == response.status
    assert {"message", "access_token", "user"} <= set(body)
    assert USER == set(body["user"])
    assert body["user"]["id"] == ada.id
    assert "no-store" == response.headers["Cache-Control"]


async def test_the_token_of_a_login_says_who_one_is(api: Client, ada: User) -> None:
    login = await api.post("/api/auth/login", json={"username": "ada", "password": PASSWORD})
    token = (await login.json())["access_token"]
    response = await api.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})
    body = await response.json()

    assert 200 == response.status
    assert USER == set(body["user"])
    assert (body["user"]["id"], body["user"]["email"]) == (ada.id, "ada@example.com")
    assert "no-store" == response.headers["Cache-Control"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"username": "ADA", "email": "other@example.com"}, "username_taken"),
        ({"username": "other", "email": "ADA@EXAMPLE.COM"}, "email_taken"),
    ],
)
async def test_a_name_or_email_in_another_case_is_taken(
    api: Client, ada: User, db: asyncpg.Pool, change: dict[str, str], code: str
) -> None:
    response = await api.post("/api/auth/register", json={**ADA, **change})

    assert (response.status, (await response.json())["code"]) == (409, code)
    assert 1 == await db.fetchval("SELECT count(*) FROM users")


async def test_an_unknown_user_and_a_wrong_password_get_the_same_answer(api: Client, ada: User) -> None:
    answers = []
    for name in ("ada", "nobody"):
        response = await api.post("/api/auth/login", json={"username": name, "password": "wrong password"})
        body = await response.json()
        del body["request_id"]
        answers.append((response.status, body, response.headers.get("WWW-Authenticate"), sorted(response.headers)))

    assert answers[0] == answers[1]
    assert (401, "invalid_credentials") == (answers[0][0], answers[0][1]["code"])


async def test_an_unknown_user_costs_as_much_time_as_a_wrong_password(open_api: OpenApi) -> None:
    api = await open_api(environment="development")  # bcrypt at its real cost
    await api.post("/api/auth/register", json=ADA)

    async def fastest(name: str) -> float:
        times = []
        for _ in range(3):
            start = time.process_time()  # however busy the machine is
            await api.post("/api/auth/login", json={"username": name, "password": "wrong password"})
            times.append(time.process_time() - start)
        return min(times)

    known, unknown = await fastest("Ada"), await fastest("nobody")

    assert known / 4 < unknown < known * 4  # without bcrypt it is a hundredth


@pytest.mark.parametrize("length", [64, 128])
async def test_a_long_unicode_password_counts_to_its_last_character(api: Client, length: int) -> None:
    password = "密" * (length - 1) + "碼"
    registered = await api.post("/api/auth/register", json={**ADA, "password": password})
    right = await api.post("/api/auth/login", json={"username": "Ada", "password": password})
    wrong = await api.post("/api/auth/login", json={"username": "Ada", "password": password[:-1] + "密"})
    cut = await api.post("/api/auth/login", json={"username": "Ada", "password": password[:-1]})

    assert (201, 200, 401, 401) == (registered.status, right.status, wrong.status, cut.status)


async def test_a_password_written_in_another_unicode_form_is_the_same(api: Client) -> None:
    await api.post("/api/auth/register", json={**ADA, "password": "caf\u00e9 au lait"})
    response = await api.post("/api/auth/login", json={"username": "Ada", "password": "cafe\u0301 au lait"})

    assert 200 == response.status


@pytest.mark.parametrize(
    ("password", "status"),
    [("a" * 1024, 201), ("é" * 512, 201), ("12345678", 201), ("é" * 8, 201)],
)
async def test_a_password_may_have_8_characters_to_1024_bytes(api: Client, password: str, status: int) -> None:
    response = await api.post("/api/auth/register", json={**ADA, "password": password})

    assert response.status == status


async def test_login_does_not_apply_the_policy_for_new_passwords(api: Client, db: asyncpg.Pool) -> None:
    await api.post("/api/auth/register", json=ADA)
    response = await api.post("/api/auth/login", json={"username": "Ada", "password": "short"})

    assert (401, "invalid_credentials") == (response.status, (await response.json())["code"])


WRONG: list[tuple[str, object]] = [
    *(
        ("username", value)
        for value in ("ab", "a" * 33, "ada@example.com", "a da", "   ", "", "é" * 5, 7, None, ["ada"])
    ),
    *(
        ("email", value)
        for value in ("ada", "ada@", "@a", "a@b@c", "a da@example.com", "a@" + "b" * 191, ["a@b"], None)
    ),
    *(("password", value) for value in (12345678, "", "1234567", " " * 9, "a" * 1025, "é" * 513, None)),
]


async def test_a_wrong_field_is_refused_by_its_name(api: Client, db: asyncpg.Pool) -> None:
    for field, value in WRONG:
        response = await api.post("/api/auth/register", json={**ADA, field: value})
        body = await response.json()

        assert (400, "invalid_request") == (response.status, body["code"]), value
        assert body["error"].startswith(f"{field}: expected ")
    assert 0 == await db.fetchval("SELECT count(*) FROM users")


@pytest.mark.parametrize("field", ["username", "email", "password"])
async def test_a_missing_field_is_refused_by_its_name(api: Client, field: str) -> None:
    response = await api.post("/api/auth/register", json={name: ADA[name] for name in ADA if name != field})

    assert 400 == response.status
    assert (await response.json())["error"].startswith(f"{field}: ")


async def test_nobody_becomes_an_operator_by_asking(api: Client, db: asyncpg.Pool) -> None:
    content = {**ADA, "scope": "operator", "is_admin": True, "id": 1_000_000}
    body = await (await api.post("/api/auth/register", json=content)).json()
    claims = jwt.decode(body["access_token"], options={"verify_signature": False})

    assert "" == claims["scope"]
    assert "" == await db.fetchval("SELECT scope FROM users")
    assert body["user"]["id"] != 1_000_000


async def test_the_token_carries_the_scope_of_the_account(api: Client, ada: User, db: asyncpg.Pool) -> None:
    await db.execute("UPDATE users SET scope = 'operator' WHERE id = $1", ada.id)
    body = await (await api.post("/api/auth/login", json={"username": "ada", "password": PASSWORD})).json()

    assert "operator" == jwt.decode(body["access_token"], options={"verify_signature": False})["scope"]


async def test_a_password_is_stored_as_a_hash_only(api: Client, ada: User, db: asyncpg.Pool) -> None:
    row = await db.fetchrow("SELECT * FROM users")

    assert row["password_hash"].startswith("$2b$")
    assert "hmac-sha384+bcrypt" == row["password_scheme"]
    assert PASSWORD not in str(dict(row))


async def test_no_answer_contains_a_password_or_its_hash(api: Client, ada: User, db: asyncpg.Pool) -> None:
    hashed = await db.fetchval("SELECT password_hash FROM users")
    login = {"username": "ada", "password": PASSWORD}
    answers = [
        await api.post("/api/auth/register", json=ADA),
        await api.post("/api/auth/register", json={**ADA, "username": "?"}),
        await api.post("/api/auth/register", json={**ADA, "username": "bob", "email": "bob@example.com"}),
        await api.post("/api/auth/login", json=login),
        await api.post("/api/auth/login", json={**login, "username": "nobody"}),
        await api.get("/api/auth/me", headers=ada.headers),
    ]
    texts = [await answer.text() for answer in answers]

    assert [409, 400, 201, 200, 401, 200] == [answer.status for answer in answers]
    assert [] == [text for text in texts if PASSWORD in text or hashed in text or "$2b$" in text]


async def test_without_a_token_nobody_is_anybody(api: Client) -> None:
    response = await api.get("/api/auth/me")

    assert (401, "invalid_token") == (response.status, (await response.json())["code"])
    assert response.headers["WWW-Authenticate"].startswith('Bearer realm="quotewell"')


async def test_the_token_of_a_deleted_account_is_refused_wherever_the_account_is_needed(
    api: Client, ada: User, db: asyncpg.Pool
) -> None:
    await db.execute("DELETE FROM users")
    me = await api.get("/api/auth/me", headers=ada.headers)
    add = await api.post("/api/watchlist", json={"symbol": "AAPL"}, headers=ada.headers)

    assert (401, 401) == (me.status, add.status)
    assert 0 == await db.fetchval("SELECT count(*) FROM watchlist_items")


async def test_a_hash_is_not_in_the_repr_of_an_account(db: asyncpg.Pool) -> None:
    async with db.acquire() as connection:
        user = await insert_user(connection, "ada", "ada@example.com", "$2b$hash", "scheme")

    assert "$2b$hash" not in repr(user)


async def test_twenty_registrations_of_one_name_at_once_make_one_account(api: Client, db: asyncpg.Pool) -> None:
    async def attempt(number: int) -> int:
        response = await api.post("/api/auth/register", json={**ADA, "email": f"ada{number}@example.com"})
        return response.status

    statuses = await asyncio.gather(*(attempt(number) for number in range(20)))

    assert 1 == statuses.count(201)
    assert set(statuses) <= {201, 409, 503}  # 503: the hashing threads take sixteen at a time
    assert 1 == await db.fetchval("SELECT count(*) FROM users")


async def test_a_password_that_takes_long_to_normalize_holds_nobody_up(api: Client, ada: User) -> None:
    password = "a" + "\u0315\u0316" * 16_000
    body = json.dumps({"username": "ada", "password": password}, ensure_ascii=False).encode()
    started = time.process_time()  # however busy the machine is
    response = await api.post("/api/auth/login", data=body, headers={"Content-Type": "application/json"})

    assert 401 == response.status
    assert time.process_time() - started < 0.3  # it takes a second if it is normalized


async def test_a_common_password_is_refused_in_production_however_it_is_spelt(open_api: OpenApi) -> None:
    api = await open_api(refuses_common_passwords=True)
    common = ("password123", "PASSWORD123", "ｐａｓｓｗｏｒｄ123", "ada@example.com", "quotewell")
    answers = [await api.post("/api/auth/register", json={**ADA, "password": password}) for password in common]
    well = await api.post("/api/auth/register", json=ADA)

    assert [400] * 5 == [answer.status for answer in answers]
    assert (await answers[0].json())["error"].startswith("password: expected one that is not among the most common")
    assert 201 == well.status
