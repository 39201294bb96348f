"""Users as operators see them over HTTP: listed in pages, and deleted with everything that is theirs."""

import re
from typing import Any

import asyncpg
import pytest

from api.ops.users import routes
from tests.api.conftest import Client, User, register, register_operator
from tests.api.test_ops import say, wrong
from tests.harness.polling import eventually

ROUTES = sorted((route.method, route.path) for route in routes)  # type: ignore[attr-defined]


@pytest.fixture
async def root(api: Client) -> User:
    return await register_operator(api, "root")


async def names(api: Client, user: User, query: str = "") -> tuple[list[str], Any]:
    _, body = await say(api, user, "GET", f"/api/ops/users{query}")
    return [each["username"] for each in body["users"]], body["next"]


async def test_only_operators_may(api: Client, ada: User, db: asyncpg.Pool) -> None:
    for method, path in ROUTES:
        address = re.sub("{.*?}", str(ada.id), path)
        nobody, somebody = [
            (await api.request(method, address, headers=headers)).status for headers in ({}, ada.headers)
        ]
        assert (401, 403) == (nobody, somebody)
    assert 1 == await db.fetchval("SELECT count(*) FROM users")


async def test_users_are_listed_in_pages_and_found_by_name_or_email(api: Client, root: User) -> None:
    for name in ("Ada", "ben", "b_c"):
        await register(api, name)
    await api.post("/api/watchlist", json={"symbol": "IBM"}, headers=root.headers)
    _, body = await say(api, root, "GET", "/api/ops/users?most=1")
    first = body["users"][0]

    assert (4, root.id, ["root"]) == (body["total"], body["next"], [user["username"] for user in body["users"]])
    assert ("root@example.com", "operator", False, 1, 2) == tuple(
        first[field] for field in ("email", "scope", "locked", "symbols", "open_logins")
    )
    assert (["Ada", "ben", "b_c"], None) == await names(api, root, f"?after={root.id}")
    assert [["Ada"], ["ben", "b_c"], ["b_c"], ["root"], []] == [
        (await names(api, root, f"?begins={begins}"))[0] for begins in ("aD", "B", "B_", "ROOT@EX", "%25")
    ]
    assert "password" not in str(body)


async def test_a_deleted_user_is_out_within_a_second_and_the_audit_keeps_its_number(
    api: Client, root: User, ada: User, db: asyncpg.Pool
) -> None:
    await api.post("/api/watchlist", json={"symbol": "IBM"}, headers=ada.headers)
    status, body = await say(api, root, "DELETE", f"/api/ops/users/{ada.id}")

    async def is_out() -> bool:
        return (await api.get("/api/watchlist", headers=ada.headers)).status == 401

    await eventually(is_out)
    assert (200, "ada", ["user_deleted"], 1) == (status, body["username"], body["events"], body["logins_ended"])
    assert (["root"], None) == await names(api, root)
    assert 0 == await db.fetchval("SELECT watchers FROM symbols WHERE symbol = 'IBM'")
    row = await db.fetchrow("SELECT event, actor, user_id, subject, address FROM audit ORDER BY id DESC LIMIT 1")
    assert ("user_deleted", f"user:{root.id}", None, f"user:{ada.id}", None) == tuple(row)


@pytest.mark.parametrize(
    ("user", "status", "code", "told"),
    [
        ("999", 404, "not_found", "there is no user 999; expected an id that the list of users has"),
        ("ada", 404, "not_found", "there is no user 'ada'; expected an id"),
        ("0", 404, "not_found", "there is no user '0'"),
        ("9999999999999999999", 404, "not_found", "there is no user '9999999999999999999'"),
        (
            "{own}",
            400,
            "invalid_request",
            "user: expected another account than your own; `DELETE /api/auth/me` deletes",
        ),
    ],
)
async def test_a_deletion_that_cannot_be_is_refused_in_a_sentence(
    api: Client, root: User, db: asyncpg.Pool, user: str, status: int, code: str, told: str
) -> None:
    answered, body = await say(api, root, "DELETE", f"/api/ops/users/{user.format(own=root.id)}")

    assert (status, code) == (answered, body["code"])
    assert body["error"].startswith(told)
    assert 1 == await db.fetchval("SELECT count(*) FROM users")


async def test_a_wrong_question_is_refused_by_its_name(api: Client, root: User) -> None:
    for query, told in (
        ("most=0", "most: "),
        ("after=-1", "after: "),
        ("begins=%00", "begins: "),
        ("name=a", "name: "),
    ):
        status, body = await say(api, root, "GET", f"/api/ops/users?{query}")
        assert (400, True) == (status, body["error"].startswith(told)), query


async def test_real_answers_are_as_documented(api: Client, root: User, ada: User) -> None:
    different = []
    for method, path in sorted(ROUTES, reverse=True):
        answer = await api.request(method, re.sub("{.*?}", str(ada.id), path), headers=root.headers)
        different += list(wrong(method, path, answer, await answer.text()))

    assert [] == different
