"""A search over HTTP: from the listing where that is sure, beside the provider where it is not."""

from datetime import timedelta

import pytest

from api.quotes import search
from api.quotes.listing import LISTING
from api.quotes.memory import MEMORY
from common.core.models import Listed
from common.core.search.ranking import build_index
from common.errors import StoreUnavailable
from tests.api.conftest import Client, OpenApi, Provider, User

LISTED = [
    Listed("AAPL", "Apple Inc", "NASDAQ", "Stock", None),
    Listed("IAI", "ISHARES U.S. BROKER-DEALERS &AMP; SECURITIES EXCHANGES ETF ", "NYSE ARCA", "ETF", None),
    Listed("MCD", "McDonald`s Corp", "NYSE", "Stock", None),
    Listed("MSFT", "Microsoft Corp", "NASDAQ", "Stock", None),
    Listed("TEXC", "Tesca Holdings Inc", "NYSE", "Stock", None),
]


def set_listing(client: Client) -> Client:
    assert client.app is not None
    client.app[LISTING].index = build_index(LISTED)
    return client


@pytest.fixture
def listed(api: Client) -> Client:
    return set_listing(api)


async def symbols(client: Client, query: str, user: User | None = None) -> list[str]:
    response = await client.get(f"/api/search/{query}", headers=user.headers if user else {})
    assert 200 == response.status, await response.text()
    return [row["symbol"] for row in await response.json()]


@pytest.mark.parametrize(
    "query", ["mcdonalds", "McDonald%E2%80%99s", "mc%20donalds", "MCDONALD%60S", "apple%20inc", "app"]
)
async def test_a_sure_hit_costs_no_call(listed: Client, provider: Provider, query: str) -> None:
    found = await symbols(listed, query)

    assert found[0] in ("MCD", "AAPL")
    assert [] == await provider.asked()


async def test_names_are_shown_without_markup(listed: Client) -> None:
    async def first(query: str) -> dict[str, str]:
        response = await listed.get(f"/api/search/{query}")
        rows: list[dict[str, str]] = await response.json()
        return rows[0]

    fund, restaurant = await first("iai"), await first("mcd")

    assert "ISHARES U.S. BROKER-DEALERS & SECURITIES EXCHANGES ETF" == fund["name"]
    assert "McDonald's Corp" == restaurant["name"]


async def test_a_weak_hit_has_the_provider_asked_and_stands_beside_its_answer(
    listed: Client, provider: Provider
) -> None:
    found = await symbols(listed, "tesco")

    assert ["TSCO.LON", "TEXC"] == found  # who has the word, then who has one that is near to it
    assert 1 == len(await provider.asked())


async def test_a_misspelt_name_of_which_the_provider_knows_nothing_is_found_all_the_same(
    listed: Client, ada: User, provider: Provider
) -> None:
    found = [await symbols(listed, "mircosoft", ada), await symbols(listed, "mircosoft", ada)]

    assert [["MSFT"]] * 2 == found
    assert 1 == len(await provider.asked())


async def test_a_weak_hit_is_shown_alone_for_a_moment_where_the_provider_does_not_answer(
    open_api: OpenApi, provider: Provider
) -> None:
    api = set_listing(await open_api(miss_wait=timedelta(seconds=0.1), provider_timeout=timedelta(seconds=1)))
    await provider.fault("hang")
    response = await api.get("/api/search/mircosoft")
    alone = [row["symbol"] for row in await response.json()]

    assert (200, ["MSFT"]) == (response.status, alone)
    assert "max-age=4" in response.headers["Cache-Control"]


@pytest.mark.parametrize(("length", "status"), [(43, 200), (100, 200), (101, 400)])
async def test_a_search_has_a_hundred_characters_at_most(listed: Client, length: int, status: int) -> None:
    response = await listed.get(f"/api/search/{'apple inc '.ljust(length, 'x')}")

    assert status == response.status


async def test_the_document_says_how_long_a_search_may_be(api: Client) -> None:
    document = await (await api.get("/api/openapi.json")).json()
    [query] = document["paths"]["/api/search/{query}"]["get"]["parameters"][:1]

    assert "1 to 100" in str(query)


SPELLINGS = [
    "apple",
    "APPLE",
    "aPpLe",
    "%61pple",
    "%20apple%20%20",
    "apple?",
    "apple?x=1",
    f"apple?x={'7' * 7000}",
    "apple?y=2&x=1",
]


async def test_a_question_is_kept_once_however_it_is_spelt(listed: Client) -> None:
    assert listed.app is not None
    answers, sizes = listed.app[MEMORY].answers, []
    for spelling in SPELLINGS:
        assert "AAPL" == (await symbols(listed, spelling))[0]
        sizes.append(answers.size)

    assert 0 < sizes[0]
    assert sizes[:1] * len(SPELLINGS) == sizes


async def test_a_question_that_is_spelt_otherwise_gets_the_answer_that_is_kept(listed: Client) -> None:
    first = await listed.get("/api/search/micro%20soft")
    assert listed.app is not None
    listed.app[LISTING].index = build_index(())
    again = await listed.get("/api/search/MICRO%20%20soft")

    assert (first.headers["ETag"], await first.read()) == (again.headers["ETag"], await again.read())


async def test_without_a_store_the_last_answer_serves_whatever_its_spelling(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(search, "ANSWER_TTL", 0.0)
    before = await symbols(api, "tesco")
    monkeypatch.setattr(search, "_look", fail)
    after = await symbols(api, "Tesco?x=1")
    other = await api.get("/api/search/apple")

    assert "TSCO.LON" in before
    assert before == after
    assert 503 == other.status
