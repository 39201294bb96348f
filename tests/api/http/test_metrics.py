"""What the API counts: each request by its route, each quote by where it was found, and nothing under a caller's text."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from aiohttp.web_urldispatcher import MatchInfoError
from prometheus_client import REGISTRY, CollectorRegistry
from redis.asyncio import Redis

from api.http import metrics
from api.http.answers import Answer
from api.http.keys import RESOURCES
from api.http.metrics import AGE, Ages, Hot, note_request
from api.quotes.reads import READS
from tests.api.conftest import PASSWORD, Client, OpenApi, User
from tests.api.listening import listening, tell, until_clients, until_followed
from tests.harness.polling import eventually

STOCK = {"method": "GET", "route": "/api/stock/{symbol}"}
REQUESTS = "quotewell_http_request_duration_seconds_count"
HOT = "quotewell_http_hot_answers_total"


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@dataclass(frozen=True, slots=True)
class Before:
    """Values as they were; metrics are the process's own, and tests share it."""

    values: dict[tuple[str, tuple[tuple[str, str], ...]], float]

    def since(self, name: str, **labels: str) -> float:
        return value(name, **labels) - self.values.get((name, tuple(sorted(labels.items()))), 0.0)

    def lookups(self) -> dict[str, float]:
        """By layer and outcome, those that there were."""
        pairs = [(layer, how) for layer in ("answer", "memory", "redis", "postgres", "live") for how in HOW]
        found = {f"{a} {b}": self.since("quotewell_cache_lookups_total", layer=a, outcome=b) for a, b in pairs}
        return {pair: count for pair, count in found.items() if count}


HOW = ("hit", "miss", "error")


@pytest.fixture
def before(api: Client) -> Before:
    """Taken once the process runs, and what an earlier test left behind is counted."""
    metrics.HOT.flush("always")
    samples = [sample for metric in REGISTRY.collect() for sample in metric.samples]
    return Before({(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples})


async def ask(client: Client, path: str, **headers: str) -> int:
    async with client.get(path, headers=headers) as answer:
        await answer.read()
        return answer.status


async def reaches(expected: float, found: Callable[[], float]) -> None:
    async def met() -> bool:
        return expected == found()

    await eventually(met)


async def test_a_request_is_timed_under_its_route_and_never_under_its_path(api: Client, before: Before) -> None:
    assert 200 == await ask(api, "/api/stock/ORCL?wait=10")
    assert 400 == await ask(api, "/api/stock/orcl!?wait=0")
    assert 404 == await ask(api, "/orcl")

    assert 1 == before.since(REQUESTS, **STOCK, status="200")
    assert 1 == before.since(REQUESTS, **STOCK, status="400")
    assert 1 == before.since(REQUESTS, method="GET", route="none", status="404")
    labels = {label for metric in REGISTRY.collect() for sample in metric.samples for label in sample.labels.values()}
    assert not [label for label in labels if "orcl" in label.lower()]


async def test_an_unusual_method_makes_no_series_of_its_own(api: Client, before: Before) -> None:
    async with api.request("PROPFIND", "/api/health") as answer:
        assert 405 == answer.status

    assert 1 == before.since(REQUESTS, method="other", route="none", status="405")


@pytest.mark.parametrize(("status", "defects"), [(200, 0), (404, 0), (500, 1), (503, 0), (504, 1)])
def test_a_defect_is_a_5xx_that_does_not_say_when_to_come_again(status: int, defects: int) -> None:
    earlier = value("quotewell_http_server_errors_total")

    request = make_mocked_request("GET", "/")
    request._match_info = MatchInfoError(web.HTTPNotFound())
    note_request(request, status, 0.001)

    assert earlier + defects == value("quotewell_http_server_errors_total")


async def test_hot_answers_are_counted_apart_and_handed_over_within_a_second_or_so(api: Client, before: Before) -> None:
    await until_followed(api)
    assert 200 == await ask(api, "/api/stock/AAPL?wait=10")
    async with api.get("/api/stock/AAPL") as answer:
        tag = answer.headers["ETag"]
    assert [200, 200, 304] == [await ask(api, "/api/stock/AAPL", **{"If-None-Match": t}) for t in ("", '"x"', tag)]

    await reaches(3, lambda: before.since(HOT, status="200"))
    assert 1 == before.since(HOT, status="304")
    assert 4 == before.lookups()["answer hit"]
    assert 5 == before.since("quotewell_quote_age_seconds_count")
    assert 1 == before.since(REQUESTS, **STOCK, status="200")


async def test_a_hot_answer_without_a_quote_of_its_own_is_no_lookup(
    api: Client, before: Before, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "api.quotes.overview.ANSWER_TTL", 60
    )  # seconds; after one, a busy machine would have to encode it again
    await until_followed(api)
    assert 200 == await ask(api, "/api/market/overview")
    lookups = before.lookups()
    assert 200 == await ask(api, "/api/market/overview")

    await reaches(1, lambda: before.since(HOT, status="200"))
    assert lookups == before.lookups()


async def test_a_first_quote_misses_every_layer_and_is_found_live(api: Client, before: Before) -> None:
    await until_followed(api)
    assert 200 == await ask(api, "/api/stock/AAPL?wait=10")

    assert {"memory miss": 1, "redis miss": 1, "postgres miss": 1, "live hit": 1} == before.lookups()


async def test_another_process_finds_it_in_redis_and_then_in_memory(
    open_api: OpenApi, api: Client, before: Before
) -> None:
    assert 200 == await ask(api, "/api/stock/AAPL?wait=10")
    other = await open_api()
    await until_followed(other)
    lookups = before.lookups()

    assert [200, 200] == [await ask(other, "/api/stocks?symbols=AAPL,MSFT") for _ in range(2)]

    more = {name: count - lookups.get(name, 0) for name, count in before.lookups().items()}
    found = {name: count for name, count in more.items() if count}
    assert {"memory hit": 1, "memory miss": 3, "redis hit": 1, "redis miss": 2, "postgres miss": 2} == found


async def test_what_an_emptied_redis_lacks_is_found_in_postgresql(
    open_api: OpenApi, api: Client, before: Before, redis: Redis
) -> None:
    assert 200 == await ask(api, "/api/stock/AAPL?wait=10")
    await redis.flushall()
    other = await open_api()
    await until_followed(other)

    assert 200 == await ask(other, "/api/stock/AAPL?wait=0")

    assert 1 == before.lookups()["postgres hit"]


async def test_a_symbol_that_the_provider_does_not_have_is_a_miss_at_last(api: Client, before: Before) -> None:
    assert 404 == await ask(api, "/api/stock/NOSUCHSYMBOL?wait=10")

    assert 1 == before.lookups()["live miss"]


async def test_a_store_that_does_not_answer_is_an_error_and_no_miss(open_api: OpenApi, before: Before) -> None:
    lost = await open_api(database_url="postgresql://127.0.0.1:9/none")
    await until_followed(lost)

    assert 503 == await ask(lost, "/api/stock/AAPL?wait=0")

    assert {"memory miss": 1, "redis miss": 1, "postgres error": 1} == before.lookups()


async def test_log_ins_are_counted_by_how_they_went(api: Client, ada: User, before: Before) -> None:
    for password in (PASSWORD, "a wrong one"):
        async with api.post("/api/auth/login", json={"username": ada.name, "password": password}) as answer:
            await answer.read()

    outcomes = ("ok", "failed", "limited")
    assert [1, 1, 0] == [before.since("quotewell_logins_total", outcome=outcome) for outcome in outcomes]


async def test_the_stream_tells_its_clients_its_lag_and_when_it_had_caught_up(
    api: Client, before: Before, redis: Redis
) -> None:
    await until_followed(api)
    async with listening() as connect:
        listener = await connect(api, "/api/stream?symbols=AAPL")
        assert 1 == value("quotewell_stream_clients")
        await tell(redis, "AAPL", "12")
        await listener.quote()
    await until_clients(api, 0)

    assert 0 == value("quotewell_stream_clients")
    assert 1 == before.since("quotewell_stream_lag_seconds_count")
    assert before.since("quotewell_stream_lag_seconds_sum") < 2
    behind = datetime.now(UTC).timestamp() - value("quotewell_stream_caught_up_timestamp_seconds")
    assert -0.1 < behind < 3


async def test_reads_are_counted_as_they_are_written(api: Client, before: Before) -> None:
    assert api.app is not None
    for symbol, address in (("AAPL", "a"), ("AAPL", "b"), ("MSFT", "a"), ("MSFT", "a")):
        api.app[READS].count(symbol, by=address)
    await api.app[READS].flush(api.app[RESOURCES])

    assert 3 == before.since("quotewell_reads_flushed_total")


def answered(body: bytes, fetched_at: datetime, symbol: str = "AAPL") -> Answer:
    return Answer(body, fetched_at, fresh_until=0, stale_for=5, good_until=0, symbol=symbol)


def test_a_hot_answers_age_is_that_of_the_market() -> None:
    """A Friday's close is as old on Sunday as it was on Friday night."""
    hot = Hot()
    for _ in range(7):
        hot.count(answered(b"x", datetime.now(UTC) - timedelta(days=900)), 200)
    count, total = value("quotewell_quote_age_seconds_count"), value("quotewell_quote_age_seconds_sum")

    hot.flush("nyse")

    assert count + 7 == value("quotewell_quote_age_seconds_count")
    age = (value("quotewell_quote_age_seconds_sum") - total) / 7
    assert 0.15 < age / timedelta(days=900).total_seconds() < 0.25  # 252 sessions of six and a half hours a year


def test_what_was_handed_over_is_not_handed_over_again() -> None:
    hot = Hot()
    hot.count(answered(b"x", datetime.now(UTC)), 200)
    hot.flush("always")
    count = value("quotewell_quote_age_seconds_count")

    hot.flush("always")

    assert count == value("quotewell_quote_age_seconds_count")


@pytest.mark.parametrize("age", [0, 1, 1.5, 60, 60.001, 1e9])
def test_many_at_once_are_as_many_one_by_one(age: float) -> None:
    one, many = CollectorRegistry(), CollectorRegistry()
    single, batch = (Ages("age", "", buckets=AGE._upper_bounds, registry=registry) for registry in (one, many))
    for _ in range(3):
        single.observe(age)
    batch.observe_many(age, 3)

    [expected], [found] = (list(registry.collect()) for registry in (one, many))
    assert expected.samples == found.samples
