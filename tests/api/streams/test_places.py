"""A user or a network has so many streams open and no more; who closes one may open another."""

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Protocol

import aiohttp
import pytest

from api.streams.places import PLACES, Places
from api.streams.public import Stream
from common.errors import TooManyStreams
from tests.api.conftest import Client, OpenApi, User, register
from tests.api.listening import until_clients
from tests.harness.polling import eventually

PATH = "/api/stream?symbols=AAPL"
LIMIT = 20  # the default


class OpenStreams(Protocol):
    """Opens streams at once, and keeps them open until the end of the test."""

    async def __call__(
        self, api: Client, number: int, path: str = PATH, **headers: str
    ) -> list[aiohttp.ClientResponse]: ...


@pytest.fixture
async def open_streams() -> AsyncIterator[OpenStreams]:
    held: list[aiohttp.ClientResponse] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def start(api: Client, number: int, path: str = PATH, **headers: str) -> list[aiohttp.ClientResponse]:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            found = await asyncio.gather(*(session.get(api.make_url(path), headers=named) for _ in range(number)))
            held.extend(found)
            return list(found)

        yield start
        for each in held:
            each.close()


def statuses(answers: list[aiohttp.ClientResponse]) -> dict[int, int]:
    found = [answer.status for answer in answers]
    return {status: found.count(status) for status in set(found)}


async def ticket_of(api: Client, user: User) -> str:
    response = await api.post("/api/auth/ticket", headers=user.headers)
    return str((await response.json())["ticket"])


async def test_of_many_streams_at_once_a_network_gets_twenty(api: Client, open_streams: OpenStreams) -> None:
    answers = await open_streams(api, 3 * LIMIT)
    refused = [answer for answer in answers if answer.status == 429]
    told = [await answer.json() for answer in refused]
    live = await api.get("/api/health/live")

    assert {200: LIMIT, 429: 2 * LIMIT} == statuses(answers)
    assert {("too_many_streams", 5)} == {(body["code"], body["retry_after"]) for body in told}
    assert {"5"} == {answer.headers["Retry-After"] for answer in refused}
    assert 200 == live.status


async def test_a_stream_that_ends_gives_its_place_to_another(open_api: OpenApi, open_streams: OpenStreams) -> None:
    api = await open_api(stream_limit=1)
    for _ in range(3):
        [held] = await open_streams(api, 1)
        [refused] = await open_streams(api, 1)
        held.close()
        await until_clients(api, 0)

        assert [200, 429] == [held.status, refused.status]
    assert api.app is not None
    assert {} == api.app[PLACES]._taken


async def test_a_user_has_streams_of_his_own_wherever_he_is(open_api: OpenApi, open_streams: OpenStreams) -> None:
    api = await open_api(stream_limit=1)
    ada, bob = [await register(api, name) for name in ("ada", "bob")]
    answers = [
        await open_streams(api, 2),
        await open_streams(api, 2, **ada.headers),
        await open_streams(api, 2, **bob.headers),
    ]

    assert [{200: 1, 429: 1}] * 3 == [statuses(each) for each in answers]


async def test_public_and_private_streams_of_a_user_count_together(
    open_api: OpenApi, open_streams: OpenStreams
) -> None:
    api = await open_api(stream_limit=2)
    ada = await register(api, "ada")
    await open_streams(api, 1, **ada.headers)
    private = [
        (await open_streams(api, 1, f"/api/watchlist/stream?ticket={await ticket_of(api, ada)}"))[0] for _ in range(2)
    ]

    assert [200, 429] == [answer.status for answer in private]
    assert "too_many_streams" == (await private[1].json())["code"]


async def test_behind_a_proxy_each_network_has_streams_of_its_own(open_api: OpenApi, open_streams: OpenStreams) -> None:
    api = await open_api(stream_limit=1, trusted_proxies=1)
    found = {
        address: statuses(await open_streams(api, 1, X_Forwarded_For=address))
        for address in ("192.0.2.1", "192.0.2.77", "198.51.100.1", "2001:db8::1", "2001:db8:0:9::1")
    }

    assert {
        "192.0.2.1": {200: 1},
        "192.0.2.77": {429: 1},
        "198.51.100.1": {200: 1},
        "2001:db8::1": {200: 1},
        "2001:db8:0:9::1": {429: 1},
    } == found


async def test_a_stream_that_never_begins_gives_its_place_back() -> None:
    places = Places(1)

    async def write(*_: object) -> None:
        """Not called."""

    response = Stream(write, places.take("network:a"))
    with pytest.raises(TooManyStreams):
        places.take("network:a")
    del response

    async def is_free() -> bool:
        gc.collect()
        return not places._taken

    await eventually(is_free)
