"""Streams and connections by the thousand, from one address and from many: they are bounded, and everybody else is served."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.attack.judge import Answer
from tests.attack.target import Person, Target
from tests.harness.polling import eventually

STREAMS = 1000
MAX_STREAMS = 20  # of one client: the setting's default
NETWORKS = 40
CONNECTIONS = 1500
HOLD = 4.0  # seconds during which the connections stay open, and the probes ask
READ = 5.0  # seconds for the first line of an answer
UNREAD = 200  # requests on a connection whose answers nobody reads
Open = tuple[asyncio.StreamReader, asyncio.StreamWriter]
STREAM = b"GET /api/stream?symbols=AAPL HTTP/1.1\r\nHost: a\r\n%b\r\n"


async def attack(target: Target) -> None:
    await _from_one_address(target)
    await _of_one_user(target)
    await _from_many_addresses(target)
    await _idle_and_slow(target)
    await _unread(target)
    await _leaves_room(target)


@asynccontextmanager
async def opened(target: Target, at: list[str], raw: bytes) -> AsyncIterator[list[Answer]]:
    """Connections from these addresses, one each, which send this and stay open; the first answer of each."""
    connections: list[Open] = []

    async def one(source: str) -> Answer:
        shown = f"{raw[:60]!r} from {source}"
        try:
            async with asyncio.timeout(READ):
                connections.append(await target.connect(source))
                reader, writer = connections[-1]
                writer.write(raw)
                line = await reader.readline()
        except (OSError, TimeoutError) as error:
            return target.judge.count(Answer(shown, 0, why=repr(error)))
        return target.judge.count(Answer(shown, int(line.split()[1]) if line else 0, why="closed"))

    try:
        yield list(await asyncio.gather(*map(one, at)))
        await asyncio.sleep(HOLD)
    finally:
        for _, writer in connections:
            writer.close()
        for _, writer in connections:
            with suppress(OSError):
                await writer.wait_closed()


async def _from_one_address(target: Target) -> None:
    """A thousand at once. Refused ones get 429, or no connection at all."""
    async with opened(target, [target.new_address()] * STREAMS, STREAM % b"") as answers:
        target.judge.must_bound(_open(answers), MAX_STREAMS, f"streams of one address: {_statuses(answers)}")


async def _of_one_user(target: Target) -> None:
    """A user has one bound for all addresses."""
    person = await target.register("streamer")
    header = b"Authorization: Bearer %b\r\n" % person.access.encode()
    raw = STREAM.replace(b"/api/stream?symbols=AAPL", b"/api/watchlist/stream") % header
    addresses = [target.new_address() for _ in range(5)] * MAX_STREAMS
    async with opened(target, addresses, raw) as answers:
        target.judge.must_bound(_open(answers), MAX_STREAMS, f"streams of one user: {_statuses(answers)}")
    await _by_tickets(target, person)


async def _by_tickets(target: Target, person: Person) -> None:
    raw = []
    for _ in range(2 * MAX_STREAMS):
        answer = await target.request("POST", "/api/auth/ticket", at=person.at, headers=person.headers)
        if answer.status == 201:
            raw.append(f"/api/watchlist/stream?ticket={answer.body['ticket']}")
    sent = [STREAM.replace(b"/api/stream?symbols=AAPL", path.encode()) % b"" for path in raw]
    count = 0
    async with asyncio.TaskGroup() as group:
        done = [group.create_task(_hold(target, each)) for each in sent]
    count = sum(task.result() for task in done)
    target.judge.must_bound(count, MAX_STREAMS, "streams of one user by tickets")


async def _hold(target: Target, raw: bytes) -> bool:
    async with opened(target, [target.new_address()], raw) as answers:
        return _open(answers) == 1


async def _from_many_addresses(target: Target) -> None:
    """Each within its bound, together near the usual limit of descriptors. Room is left, or made."""
    addresses = [target.new_address() for _ in range(NETWORKS)] * MAX_STREAMS
    async with opened(target, addresses, STREAM % b"") as answers:
        target.judge.must_bound(_open(answers), NETWORKS * MAX_STREAMS, f"streams: {_statuses(answers)}")


async def _idle_and_slow(target: Target) -> None:
    """Connections that send nothing, half a head, or half a body."""
    head = b"GET /api/health/live HTTP/1.1\r\nHo"
    body = b"POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{"
    for raw in (b"", head, body):
        async with opened(target, [target.new_address()] * (CONNECTIONS // 3), raw):
            pass  # whether they are answered is theirs; the probes are judged


async def _unread(target: Target) -> None:
    """Clients that send many requests for much and read nothing: the answers must not pile up in memory."""
    raw = b"GET /api/openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * UNREAD
    async with opened(target, [target.new_address() for _ in range(10)], raw):
        pass
    async with opened(target, [target.new_address() for _ in range(10)], STREAM % b""):
        pass


async def _leaves_room(target: Target) -> None:
    """When they are gone, a newcomer gets a stream and an answer."""

    async def served() -> bool:
        async with opened(target, [target.new_address()], STREAM % b"") as answers:
            return _open(answers) == 1

    try:
        await eventually(served, within=30, what="a newcomer gets a stream")
    except AssertionError as error:
        target.judge.fail("probe_failures", error)


def _open(answers: list[Answer]) -> int:
    return _statuses(answers)[200]


def _statuses(answers: list[Answer]) -> Counter[int]:
    return Counter(answer.status for answer in answers)
