"""Requests at the same moment, and a process that is killed: each success that was answered is kept, and none is given twice."""

import asyncio
import signal
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import Any

from tests.api.conftest import PASSWORD
from tests.attack.judge import Answer
from tests.attack.target import REVOKED, Person, Target

AT_ONCE = 20
LIST_SIZE = 50  # MAX_WATCHLIST_SIZE
TABS = 4
GRACE = 10.0  # seconds in which a refresh token gives the same login again
KILLS = 3
SYMBOLS = [f"RACE{number}" for number in range(3 * LIST_SIZE)]


async def attack(target: Target) -> None:
    for race in (
        _one_name,
        _one_symbol,
        _more_than_fit,
        _adds_and_removals,
        _refreshes,
        _passwords,
        _logout_and_refresh,
        _deletion,
        _kills,
    ):
        await race(target)


async def at_once(requests: Sequence[Coroutine[Any, Any, Answer]]) -> Counter[int]:
    """The statuses. All are sent before the first answer is read."""
    return Counter(answer.status for answer in await asyncio.gather(*requests))


async def _change(target: Target, person: Person, method: str, symbol: str, url: str = "") -> Answer:
    path = "/api/watchlist" if method == "POST" else f"/api/watchlist/{symbol}"
    more = {"json": {"symbol": symbol}} if method == "POST" else {}
    return await target.request(method, path, at=person.at, url=url, headers=person.headers, **more)


async def _one_name(target: Target) -> None:
    """A name and an address of mail go to one account, from however many networks they are registered."""
    account = {"username": "racer", "email": "racer@example.com", "password": PASSWORD}
    spelt = ("racer", "RACER", " racer ", "Racer")
    statuses = await at_once(
        [
            target.request(
                "POST", "/api/auth/register", at=target.new_address(), json={**account, "username": spelt[n % 4]}
            )
            for n in range(AT_ONCE)
        ]
    )
    target.judge.must_bound(statuses[201], 1, f"accounts of one name: {statuses}")
    rows = await asyncio.to_thread(target.stack.execute, "SELECT id FROM users WHERE lower(username) = 'racer'")
    target.judge.must_keep(["racer"] * statuses[201], ["racer"] * len(rows), "an account")
    target.judge.must_bound(len(rows), 1, "accounts of one name in the database")


async def _one_symbol(target: Target) -> None:
    person = await target.register("onesymbol")
    statuses = await at_once([_change(target, person, "POST", "AAPL") for _ in range(AT_ONCE)])
    target.judge.must_bound(statuses[201], 1, f"additions of one symbol: {statuses}")
    target.judge.must_keep({"AAPL"}, await target.watchlist(person), "a watchlist")


async def _more_than_fit(target: Target) -> None:
    """More symbols at once than a list holds."""
    person = await target.register("hoarder")
    wanted = SYMBOLS[: LIST_SIZE + 2 * AT_ONCE]
    answers = await asyncio.gather(*(_change(target, person, "POST", symbol) for symbol in wanted))
    added = {symbol for symbol, answer in zip(wanted, answers, strict=True) if answer.status == 201}
    stored = await target.watchlist(person)
    target.judge.must_keep(added, stored, "a watchlist that is filled at once")
    target.judge.must_bound(len(stored), LIST_SIZE, "symbols of one list")


async def _adds_and_removals(target: Target) -> None:
    """Several devices of one user change different symbols for a while; the last acknowledged change of each symbol holds."""
    person = await target.register("manydevices")
    expected: dict[str, bool] = {}

    async def device(symbol: str) -> None:
        for turn in range(7):
            method = "DELETE" if turn % 2 else "POST"
            if (await _change(target, person, method, symbol)).status in (200, 201):
                expected[symbol] = method == "POST"

    await asyncio.gather(*(device(symbol) for symbol in SYMBOLS[:AT_ONCE]))
    stored = await target.watchlist(person)
    target.judge.must_keep({symbol for symbol, there in expected.items() if there}, stored, "several devices")
    removed = {symbol for symbol, there in expected.items() if not there}
    target.judge.must_keep(removed, removed - stored, "several devices, a removal")


async def _refresh(target: Target, person: Person, token: str) -> Answer:
    return await target.request("POST", "/api/auth/refresh", at=person.at, json={"refresh_token": token})


async def _refreshes(target: Target) -> None:
    """Two tabs refresh at once and both go on. Used again later, the token is a thief's, and the login ends."""
    person = await target.register("twotabs")
    answers = await asyncio.gather(*(_refresh(target, person, person.refresh) for _ in range(TABS)))
    renewed = [answer.body for answer in answers if answer.status == 200]
    for number, answer in enumerate(answers):
        goes_on = answer.status == 200 and (await _me(target, person, answer.body["access_token"])).status == 200
        target.judge.must_keep({f"tab {number}"}, {f"tab {number}"} if goes_on else (), f"{answer}: the login of")
    await asyncio.sleep(GRACE + 1)
    target.judge.must_refuse(await _refresh(target, person, person.refresh))
    await asyncio.sleep(REVOKED)
    for body in renewed:
        target.judge.must_refuse(await _me(target, person, body["access_token"]))
        target.judge.must_refuse(await _refresh(target, person, body["refresh_token"]))


async def _me(target: Target, person: Person, token: str) -> Answer:
    return await target.request("GET", "/api/auth/me", at=person.at, headers={"Authorization": f"Bearer {token}"})


async def _passwords(target: Target) -> None:
    """Of several changes at once one wins, and its password logs in."""
    person = await target.register("fickle")
    wanted = [f"{PASSWORD} {number}" for number in range(5)]
    answers = await asyncio.gather(*(_set_password(target, person, password) for password in wanted))
    won = [password for password, answer in zip(wanted, answers, strict=True) if answer.status == 200]
    target.judge.must_bound(len(won), 1, "changes of one password at once")
    good = [password for password in (PASSWORD, *wanted) if (await target.log_in(person, password)).status == 200]
    target.judge.must_keep(won, good, "a password")
    target.judge.must_bound(len(good), 1, "passwords of one account")


async def _set_password(target: Target, person: Person, password: str) -> Answer:
    body = {"current_password": PASSWORD, "new_password": password}
    return await target.request("POST", "/api/auth/password", at=person.at, headers=person.headers, json=body)


async def _logout_and_refresh(target: Target) -> None:
    """A login is logged out while it is renewed. Whichever comes first, the login is open or ended as a whole."""
    await asyncio.gather(*(_leave(target, number) for number in range(6)))


async def _leave(target: Target, number: int) -> None:
    person = await target.register(f"leaver{number}")
    body = {"refresh_token": person.refresh, "everywhere": number % 2 == 0}
    logout = target.request("POST", "/api/auth/logout", at=person.at, json=body)
    ended, renewed = await asyncio.gather(logout, _refresh(target, person, person.refresh))
    await asyncio.sleep(REVOKED)
    answer = await _me(target, person, person.access)
    if renewed.status != 200 and ended.status == 200:
        target.judge.must_refuse(answer)
    elif renewed.status == 200 and answer.status == 401:
        target.judge.must_refuse(await _me(target, person, renewed.body["access_token"]))
        target.judge.must_refuse(await _refresh(target, person, renewed.body["refresh_token"]))


async def _deletion(target: Target) -> None:
    """An account is deleted while it is used: it goes with all that it has."""
    person = await target.register("goner")
    body = {"password": PASSWORD}
    deletion = target.request("DELETE", "/api/auth/me", at=person.at, headers=person.headers, json=body)
    answers = await asyncio.gather(deletion, *(_change(target, person, "POST", symbol) for symbol in SYMBOLS[:AT_ONCE]))
    if answers[0].status == 200:
        target.judge.must_bound(len(await target.watchlist(person)), 0, "symbols of an account that was deleted")


async def _kills(target: Target) -> None:
    """kill -9 of an API process amid writes."""
    for number in range(KILLS):
        name = f"killed{number}"
        url = await target.start_api(name)
        person = await target.register(name)
        writes = [asyncio.ensure_future(_change(target, person, "POST", symbol, url)) for symbol in SYMBOLS[:LIST_SIZE]]
        await asyncio.wait(writes, return_when=asyncio.FIRST_COMPLETED)
        target.stack.signal(name, signal.SIGKILL)
        answers = await asyncio.gather(*writes)
        added = {symbol for symbol, answer in zip(SYMBOLS, answers, strict=False) if answer.status == 201}
        target.judge.must_keep(added, await target.watchlist(person), f"killed amid {len(added)} additions")
