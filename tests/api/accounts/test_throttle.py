"""Too many failed logins: who must wait, where, for how long, and that nobody else does."""

import asyncio
from dataclasses import replace

import asyncpg
import pytest
from limits import parse
from redis.asyncio import Redis

from api.accounts import throttle
from common.passwords import Passwords
from common.process.settings import Settings
from tests.api.accounts.devices import post
from tests.api.conftest import PASSWORD, Client, OpenApi, register

WRONG = "a wrong password"


async def fail(client: Client, name: str, *, address: str = "", times: int = 1) -> list[int]:
    """The statuses of logins with a wrong password."""
    headers = {"X-Forwarded-For": address} if address else {}
    content = {"username": name, "password": WRONG}
    return [(await post(client, "login", content, headers=headers))[0] for _ in range(times)]


async def log_in(client: Client, name: str, *, address: str = "") -> int:
    headers = {"X-Forwarded-For": address} if address else {}
    return (await post(client, "login", {"username": name, "password": PASSWORD}, headers=headers))[0]


@pytest.fixture
def ready(ready: Settings) -> Settings:
    """Behind one proxy, so that each request says where it is from."""
    return replace(ready, trusted_proxies=1)


@pytest.fixture(autouse=True)
def _within_one_window(one_window: None) -> None: ...


async def test_after_ten_failures_even_the_right_password_must_wait(api: Client, open_api: OpenApi) -> None:
    other = await open_api()
    await register(api, "ada")
    statuses = await fail(api, "ada", times=6) + await fail(other, "ADA@example.com", times=6)
    async with other.post("/api/auth/login", json={"username": "ada", "password": PASSWORD}) as response:
        body = await response.json()

    assert [401] * 10 + [429] * 2 == statuses
    assert (429, "rate_limited") == (response.status, body["code"])
    assert 0 < body["retry_after"] <= 900
    assert str(body["retry_after"]) == response.headers["Retry-After"]


async def test_an_unknown_name_is_throttled_as_a_known_one(api: Client) -> None:
    assert [401] * 10 + [429] == await fail(api, "nobody", times=11)


async def test_fifty_at_once_get_ten_tries(patient_redis: None, open_api: OpenApi) -> None:
    clients = [await open_api(), await open_api()]
    api = clients[0]
    await register(api, "ada")
    content = {"username": "ada", "password": WRONG}
    answers = await asyncio.gather(*(post(clients[n % 2], "login", content) for n in range(50)))
    statuses = [status for status, _ in answers]

    assert {401} < set(statuses) <= {401, 429, 503}
    assert statuses.count(401) <= 10
    assert 429 == (await fail(api, "ada", times=11))[-1]


async def test_many_right_passwords_at_once_are_no_failures(api: Client) -> None:
    await register(api, "ada")
    statuses = await asyncio.gather(*(log_in(api, "ada") for _ in range(40)))

    assert {200, 503} == set(statuses)
    assert 200 == await log_in(api, "ada")


async def test_who_fails_costs_nobody_at_another_address(api: Client) -> None:
    await register(api, "ada")
    await fail(api, "ada", address="198.51.100.1", times=11)

    assert 200 == await log_in(api, "ada", address="198.51.100.2")


async def test_an_address_may_fail_thirty_times_whatever_the_names(api: Client) -> None:
    await register(api, "ada")
    statuses = [(await fail(api, f"name{number}", address="198.51.100.1"))[0] for number in range(31)]

    assert [401] * 30 + [429] == statuses
    assert 429 == await log_in(api, "ada", address="198.51.100.1")


async def lock_address(client: Client, address: str) -> None:
    """Fail thirty times from an address, with names that nobody has."""
    statuses = [(await fail(client, f"name{number}", address=address))[0] for number in range(31)]
    assert [401] * 30 + [429] == statuses


async def test_whoever_logged_in_from_a_locked_address_before_still_gets_in_and_nobody_else(
    open_api: OpenApi, db: asyncpg.Pool
) -> None:
    """An attack: thirty wrong logins from an office, a school or a carrier lock everybody there out."""
    here, elsewhere = "198.51.100.1", "198.51.100.2"
    apis = [await open_api(), await open_api()]
    for name in ("ada", "ben", "cyd", "dee"):
        await register(apis[0], name)
    await log_in(apis[0], "ada", address=here)
    await log_in(apis[0], "ben", address=elsewhere)
    await log_in(apis[0], "cyd", address=here)
    of = "WHERE user_id = (SELECT id FROM users WHERE username = $1)"
    await db.execute(f"UPDATE audit SET at = now() - interval '31 days' {of}", "cyd")
    await db.execute(f"UPDATE audit SET event = 'registered', address = $2 {of}", "dee", here)
    await lock_address(apis[0], here)

    statuses = {name: [await log_in(api, name, address=here) for api in apis] for name in ("ada", "ben", "cyd", "dee")}
    assert {"ada": [200] * 2, "ben": [429] * 2, "cyd": [429] * 2, "dee": [200] * 2} == statuses
    assert 15 * [200] == [await log_in(apis[1], "ada@example.com", address=here) for _ in range(15)]
    assert 200 == await log_in(apis[0], "ben", address=elsewhere)


async def test_a_locked_address_does_not_tell_which_names_exist(api: Client) -> None:
    """A wrong password of an account that may still log in there is refused as one of an account that may not, or of nobody."""
    here = "198.51.100.1"
    for name in ("ada", "ben"):
        await register(api, name)
    await log_in(api, "ada", address=here)
    await lock_address(api, here)
    told: dict[str, list[tuple[object, ...]]] = {"ada": [], "ben": [], "nobody": []}
    for name, answers in told.items():
        for _ in range(12):
            content = {"username": name, "password": WRONG}
            async with api.post("/api/auth/login", json=content, headers={"X-Forwarded-For": here}) as answer:
                body = await answer.json()
                answers.append((answer.status, sorted(answer.headers), sorted(body), body["code"], body["error"]))

    assert told["ada"] == told["ben"] == told["nobody"]
    sentences = [answer[-1] for answer in told["ada"]]
    assert [throttle.REFUSALS["address"]] * 10 + [throttle.REFUSALS["pair"]] * 2 == sentences
    assert 429 == await log_in(api, "ada", address=here)


async def test_no_hash_is_computed_for_a_name_that_is_locked_out(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    here = "198.51.100.1"
    await register(api, "ada")
    await lock_address(api, here)
    checked: list[str | None] = []

    async def note(_: Passwords, __: str, hashed: str | None) -> bool:
        checked.append(hashed)
        return False

    monkeypatch.setattr(Passwords, "matches", note)
    assert [429] * 5 == await fail(api, "ada", address=here, times=5)
    assert [] == checked


async def test_a_refusal_says_for_whom_it_is(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "ACCOUNT", parse("15/15minutes"))
    await register(api, "ada")
    await fail(api, "ada", address="198.51.100.1", times=10)
    await fail(api, "ada", address="198.51.100.2", times=5)
    await lock_address(api, "198.51.100.4")
    sentences = []
    for address in ("198.51.100.1", "198.51.100.3", "198.51.100.4"):
        headers = {"X-Forwarded-For": address}
        body = (await post(api, "login", {"username": "ada", "password": PASSWORD}, headers=headers))[1]
        sentences.append(body["error"])

    assert [
        "too many failed logins for this account from this address",
        "too many failed logins for this account; it still can from addresses from which it logged in before",
        "too many failed logins from this address; accounts that logged in from it before still can",
    ] == sentences


async def test_a_success_is_no_failure(api: Client) -> None:
    await register(api, "ada")
    statuses = []
    for _ in range(4):
        statuses += [*(await fail(api, "ada", times=2)), await log_in(api, "ada")]

    assert [401, 401, 200] * 4 == statuses
    assert 35 * [200] == [await log_in(api, "ada") for _ in range(35)]


async def test_an_account_under_attack_takes_those_it_knows(
    api: Client, monkeypatch: pytest.MonkeyPatch, db: asyncpg.Pool
) -> None:
    monkeypatch.setattr(throttle, "ACCOUNT", parse("5/15minutes"))
    await register(api, "ada")
    assert 200 == await log_in(api, "ada", address="198.51.100.1")
    for number in range(5):
        await fail(api, "ada", address=f"203.0.113.{number}")

    assert 429 == await log_in(api, "ada", address="198.51.100.2")
    assert 200 == await log_in(api, "ada", address="198.51.100.1")
    await db.execute("UPDATE audit SET at = now() - interval '31 days'")
    assert 429 == await log_in(api, "ada", address="198.51.100.1")


async def test_the_password_is_not_to_be_guessed_with_a_stolen_token_either(api: Client) -> None:
    ada = await register(api, "ada")
    content = {"current_password": WRONG, "new_password": PASSWORD}
    answers = [await post(api, "password", content, headers=ada.headers) for _ in range(11)]

    assert [401] * 10 + [429] == [status for status, _ in answers]


async def test_without_redis_each_process_counts_for_itself(open_api: OpenApi) -> None:
    api = await open_api(redis_url="redis://127.0.0.1:9/0")
    await register(api, "ada")

    assert [401] * 10 + [429] == await fail(api, "ada", times=11)


async def test_nothing_in_redis_names_an_account(api: Client, redis: Redis) -> None:
    await fail(api, "somebody-else")
    keys = [key async for key in redis.scan_iter("throttle*")]

    assert 3 == len(keys)
    assert not [key for key in keys if "somebody" in key]


async def test_what_is_given_back_late_opens_no_later_window(api: Client, redis: Redis) -> None:
    """An attempt that ends after its window takes nothing from the next one."""
    await register(api, "ada")
    await log_in(api, "ada")
    await redis.delete(*[key async for key in redis.scan_iter("throttle*")])
    await fail(api, "ada")
    counts = [int(await redis.get(key) or 0) async for key in redis.scan_iter("throttle*")]

    assert [1, 1, 1] == counts


async def test_who_is_refused_counts_for_nothing_else(api: Client, redis: Redis) -> None:
    await register(api, "ada")
    await fail(api, "ada", times=30)
    counts = sorted([int(await redis.get(key) or 0) async for key in redis.scan_iter("throttle*")])

    assert [10, 10, 10] == counts
