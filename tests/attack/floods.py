"""Many requests for what is expensive: passwords, accounts, searches, misses, long texts. Memory, the limits and the probes are judged."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterable

from tests.attack.judge import Answer
from tests.attack.target import Target

AT_ONCE = 20
HASHES_AT_ONCE = 4  # more wait for the pool of hashes and are told to come again
LOGINS, MAX_FAILURES, MAX_FAILURES_OF_ONE = 45, 30, 10  # of an address; and of an account from it, in 15 minutes
REGISTRATIONS, MAX_REGISTRATIONS = 40, 10  # of a network in an hour
MAX_MAILS = 10  # of a network in an hour
SEARCHES, SPELLINGS = 1500, 6000
A_MINUTE = 200  # of one address: below SEARCH_LIMIT
LONG = "x" * 7000
MISSES = 150
PATHS = 1000
WRONG = "not the password at all"


async def attack(target: Target) -> None:
    await _logins(target)
    await _registrations(target)
    await _mails(target)
    await _searches(target)
    await _paths(target)
    await _misses(target)
    await _long_texts(target)


async def flood(target: Target, requests: Iterable[tuple[str, str]]) -> Counter[int]:
    """GET these paths from these addresses, so many at a time; the statuses."""
    waiting, statuses = iter(requests), Counter[int]()

    async def client() -> None:
        for at, path in waiting:
            statuses[(await target.request("GET", path, at=at)).status] += 1

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    return statuses


async def _logins(target: Target) -> None:
    """Wrong passwords for one account, then for many. Who has logged in from there before still gets in."""
    known = await target.register("neighbour")
    await target.log_in_again(known)
    victim = await target.register("guessed")
    answers = [await _guess(target, known.at, victim.name) for _ in range(MAX_FAILURES_OF_ONE + 5)]
    wrong = sum(answer.status == 401 for answer in answers)
    target.judge.must_bound(wrong, MAX_FAILURES_OF_ONE, "guesses of one password from one address")
    limit = asyncio.Semaphore(HASHES_AT_ONCE)

    async def guess(number: int) -> Answer:
        async with limit:
            return await _guess(target, known.at, f"nobody{number}")

    more = await asyncio.gather(*map(guess, range(LOGINS - len(answers))))
    wrong += sum(answer.status == 401 for answer in more)
    target.judge.must_bound(wrong, MAX_FAILURES, "guesses from one address")
    target.judge.must_serve(await target.log_in(known))
    target.judge.must_serve(await target.log_in(victim))  # from its own address


async def _guess(target: Target, at: str, name: str) -> Answer:
    answer = await target.request("POST", "/api/auth/login", at=at, json={"username": name, "password": WRONG})
    target.judge.must_refuse(answer)
    return answer


async def _registrations(target: Target) -> None:
    at = target.new_address()
    accounts = ({"username": f"swarm{n}", "email": f"swarm{n}@example.com"} for n in range(REGISTRATIONS))
    answers = await asyncio.gather(
        *(
            target.request("POST", "/api/auth/register", at=at, json={**account, "password": WRONG})
            for account in accounts
        )
    )
    made = sum(answer.status == 201 for answer in answers)
    target.judge.must_bound(made, MAX_REGISTRATIONS, "accounts of one network in an hour")


async def _mails(target: Target) -> None:
    """Requests for mails to somebody else. Without a mail server there are none."""
    at = target.new_address()
    answers = [
        await target.request("POST", "/api/auth/forgot", at=at, json={"email": "victim@example.com"})
        for _ in range(2 * MAX_MAILS)
    ]
    target.judge.must_bound(
        sum(answer.status == 202 for answer in answers), MAX_MAILS, "mails for one network in an hour"
    )


async def _searches(target: Target) -> None:
    """One question in many spellings of its URL, then many questions, then other answers that are kept."""
    await flood(target, _from_many(target, (f"/api/search/apple?x={n}{LONG}" for n in range(SPELLINGS))))
    await flood(target, _from_many(target, (f"/api/search/{'%20' * (n % 40)}SIM{n + 1:04}" for n in range(SEARCHES))))
    await flood(target, _from_many(target, (f"/api/stock/AAPL?x={n}{LONG}" for n in range(SEARCHES))))
    await flood(
        target,
        _from_many(target, (f"/api/stock/AAPL/chart?days={1 + n % 100}&wait=20&x={n}{LONG}" for n in range(SEARCHES))),
    )


def _from_many(target: Target, paths: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Each path with an address; so many paths have the same one, for the limit of an address would answer otherwise."""
    at = ""
    for number, path in enumerate(paths):
        if number % A_MINUTE == 0:
            at = target.new_address()
        yield at, path


async def _paths(target: Target) -> None:
    """Routes that do not exist, methods that do not either, and ids of requests, each a new one."""
    await flood(target, _from_many(target, (f"/api/nothing/{n}/{LONG[:500]}" for n in range(PATHS))))
    at = target.new_address()
    for number in range(200):
        headers = {"X-Request-ID": f"id-{number}", "User-Agent": f"{number}{LONG[:1000]}"}
        await target.request(f"M{number}", "/api/health/live", at=at, headers=headers)


async def _misses(target: Target) -> None:
    """First quotes and charts of symbols that nobody has, which cost calls. No call is one too many for the provider."""
    networks = [target.new_address() for _ in range(30)]
    paths = (
        f"/api/stock/{name}{n}{rest}"
        for n in range(MISSES // 3)
        for name, rest in (("QA", ""), ("QB", "/chart"), ("SIM", "?wait=20"))
    )
    await flood(target, zip(itertools.cycle(networks), paths, strict=False))
    calls = await target.stack.calls()
    target.judge.must_bound(calls["over_limit"], 0, "calls to the provider over its limit")


async def _long_texts(target: Target) -> None:
    """Texts that are slow to match, to hash or to parse, where a naive check is used."""
    at = target.new_address()
    for text in (
        "a" * 60_000,
        "a@" * 20_000,
        "." * 60_000,
        "a." * 30_000,
        " " * 60_000,
        "é" * 20_000,
        "a" * 64 + "@" + "a." * 9_000,
    ):
        for field in ("username", "email", "password"):
            account = {"username": "longtext", "email": "long@example.com", "password": "p" * 12, field: text}
            for path in ("/api/auth/register", "/api/auth/login", "/api/auth/forgot"):
                answer = await target.request("POST", path, at=at, json=account)
                target.judge.must_answer(answer)
                target.judge.must_refuse(answer)
    symbols = ("A," * 3000, ",".join(f"S{n}" for n in range(1500)), "," * 7000, "A" * 7000)
    for text in symbols:
        for path in ("/api/stocks", "/api/stream"):
            answer = await target.request("GET", f"{path}?symbols={text}", at=at)
            target.judge.must_answer(answer)
            target.judge.must_refuse(answer)
