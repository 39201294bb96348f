"""The hot answer is the ordinary one, byte for byte but for what differs from request to request."""

from datetime import UTC, datetime

import pytest

from api.http.answers import matches
from api.quotes.memory import MEMORY
from api.quotes.reads import READS
from tests.api.conftest import Client

PATH = "/api/stock/AAPL"


DIFFER = ("Date", "X-Request-ID")


async def wire(api: Client, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers but for those that differ from request to request, and body."""
    async with api.get(path, headers=headers) as answer:
        kept = {name.lower(): value for name, value in answer.headers.items() if name not in DIFFER}
        return answer.status, kept, await answer.read()


async def test_a_hot_answer_equals_the_ordinary_one_headers_included(api: Client) -> None:
    await wire(api, f"{PATH}?wait=10")

    hot = await wire(api, PATH)
    ordinary = await wire(api, f"{PATH}?wait=0")

    assert api.app is not None
    assert api.app[MEMORY].answers.find(PATH, datetime.now(UTC).timestamp()) is not None
    assert ordinary == hot


async def test_a_hot_304_equals_the_ordinary_one(api: Client) -> None:
    tag = (await wire(api, f"{PATH}?wait=10"))[1]["etag"]
    headers = {"If-None-Match": tag}

    hot, ordinary = await wire(api, PATH, **headers), await wire(api, f"{PATH}?wait=0", **headers)

    assert 304 == hot[0]
    assert ordinary == hot


async def test_a_hot_answer_is_counted_as_a_read(api: Client) -> None:
    await wire(api, f"{PATH}?wait=10")
    assert api.app is not None
    api.app[READS]._counts.clear()
    api.app[READS]._seen.clear()

    await wire(api, PATH)

    assert {"AAPL": 1} == api.app[READS]._counts


async def test_a_request_id_is_echoed_on_the_hot_path_too(api: Client) -> None:
    await wire(api, f"{PATH}?wait=10")

    async with api.get(PATH, headers={"X-Request-ID": "mine-1"}) as answer:
        assert "mine-1" == answer.headers["X-Request-ID"]
    async with api.get(PATH, headers={"X-Request-ID": "not mine"}) as answer:
        assert 32 == len(answer.headers["X-Request-ID"])


@pytest.mark.parametrize(
    ("sent", "same"),
    [
        (None, False),
        ('"a"', True),
        ('W/"a"', True),
        ('"b", "a"', True),
        ("*", True),
        ('"b"', False),
        ("a", False),
        ("", False),
    ],
)
def test_validators_are_compared_as_a_list(sent: str | None, same: bool) -> None:
    assert same == matches(sent, '"a"')
