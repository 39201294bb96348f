"""A login is by username or by email, in a field of its own or in `username`."""

from typing import Any

import pytest

from tests.api.conftest import PASSWORD, Client, User

EMAIL = "ada@example.com"


async def log_in(api: Client, content: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    response = await api.post("/api/auth/login", json={"password": PASSWORD, **content})
    return response.status, await response.json()


async def test_each_name_of_an_account_logs_it_in(api: Client, ada: User) -> None:
    contents: list[dict[str, Any]] = [{"email": EMAIL}, {"email": " ADA@Example.com "}, {"username": "Ada"}]
    contents += [
        {"username": EMAIL},
        {"email": EMAIL, "remember": True},
        {"username": "ada", "email": "bob@example.com"},
    ]
    answers = [await log_in(api, content) for content in contents]

    assert [(200, ada.id)] * len(contents) == [(status, body["user"]["id"]) for status, body in answers]


async def test_an_unknown_email_and_a_wrong_password_are_told_alike(api: Client, ada: User) -> None:
    unknown = await log_in(api, {"email": "nobody@example.com"})
    wrong = await log_in(api, {"email": EMAIL, "password": "a wrong password"})

    assert (401, 401) == (unknown[0], wrong[0])
    assert (unknown[1]["code"], unknown[1]["error"]) == (wrong[1]["code"], wrong[1]["error"])
    assert "invalid_credentials" == wrong[1]["code"]


@pytest.mark.usefixtures("patient_redis")
async def test_failures_count_together_whichever_name_is_used(api: Client, ada: User) -> None:
    names = [{"email": EMAIL}, {"username": "ada"}, {"username": EMAIL}, {"email": EMAIL.upper()}] * 3
    statuses = [(await log_in(api, {**name, "password": "a wrong password"}))[0] for name in names]

    assert [401] * 10 + [429] * 2 == statuses


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({}, "username: expected username or email"),
        ({"username": "", "email": EMAIL}, "username: expected a string that is not blank, without NUL"),
        ({"username": None, "email": EMAIL}, "username: expected a string that is not blank, without NUL"),
        ({"email": ""}, "email: expected an address such as ada@example.com"),
        ({"email": "ada"}, "email: expected an address such as ada@example.com"),
        ({"email": ["ada@example.com"]}, "email: expected an address such as ada@example.com"),
        ({"email": "a\x00@b"}, "email: expected an address such as ada@example.com"),
        ({"email": "a\ud800@b"}, "email: expected text without NUL and lone surrogates"),
        ({"email": EMAIL, "password": ""}, "password: expected a string that is not blank, without NUL"),
    ],
)
async def test_what_is_not_one_name_is_refused(api: Client, content: dict[str, Any], error: str) -> None:
    status, body = await log_in(api, content)

    assert (400, "invalid_request", error) == (status, body["code"], body["error"])


async def test_a_field_that_comes_twice_is_refused(api: Client, ada: User) -> None:
    twice = b'{"email": "ada@example.com", "email": "bob@example.com", "password": "x"}'
    answer = await api.post("/api/auth/login", data=twice, headers={"Content-Type": "application/json"})

    assert (400, "invalid_request") == (answer.status, (await answer.json())["code"])


async def test_the_document_says_that_one_is_needed(api: Client) -> None:
    document = await (await api.get("/api/openapi.json")).json()
    body = document["paths"]["/api/auth/login"]["post"]["requestBody"]["content"]["application/json"]["schema"]

    assert [{"required": ["username"]}, {"required": ["email"]}] == body["anyOf"]
    assert ["password"] == document["components"]["schemas"]["NameAndPassword"]["required"]
