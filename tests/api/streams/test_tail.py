"""One process's memory: made right by the stream, never taken back to an older price, and looked up again in any doubt."""

import asyncpg
from redis.asyncio import Redis

from api.http.keys import RESOURCES
from api.quotes.lookup import Quotes
from api.quotes.memory import MEMORY
from api.quotes.misses import MISSES
from common.core.models import Quote
from common.core.quotes.wire import encode
from common.process.settings import Settings
from common.store.connection.pool import acquire
from common.store.market import feed
from common.store.market.quotes import upsert_quote
from tests.api.conftest import Client, OpenApi, a_quote, followed, price_of
from tests.harness.polling import eventually


async def tell(redis: Redis, quote: Quote) -> None:
    """Put an event in the stream and nothing anywhere else: only who follows the stream can know it."""
    await redis.xadd(feed.STREAM, {"body": encode(quote)})


async def until_price(client: Client, symbol: str, price: float) -> None:
    async def served() -> bool:
        return await price_of(client, symbol) == price

    await eventually(served)


async def until_followed(client: Client) -> None:
    async def right() -> bool:
        return await followed(client)

    await eventually(right)


async def test_an_event_updates_memory_without_a_look_at_the_stores(api: Client, redis: Redis) -> None:
    await until_followed(api)
    await feed.publish(redis, a_quote("AAPL", "10", age=5))
    await until_price(api, "AAPL", 10)
    await tell(redis, a_quote("AAPL", "11"))
    await until_price(api, "AAPL", 11)


async def test_an_older_event_never_wins(api: Client, redis: Redis) -> None:
    await until_followed(api)
    await tell(redis, a_quote("AAPL", "11", age=5))
    await until_price(api, "AAPL", 11)
    await tell(redis, a_quote("AAPL", "10", age=60))
    await tell(redis, a_quote("MARK", "1"))
    await until_price(api, "MARK", 1)

    assert 11 == await price_of(api, "AAPL")


async def test_an_older_version_does_not_replace_a_newer_one_in_redis(redis: Redis) -> None:
    newer, older = a_quote("AAPL", "11"), a_quote("AAPL", "10", age=60)
    taken = [await feed.publish(redis, newer), await feed.publish(redis, older), await feed.publish(redis, newer)]

    assert [True, False, False] == taken
    assert [newer] == [quote for _, quote in await feed.select_published(redis, "simulated", ["AAPL"])]
    assert 1 == await redis.xlen(feed.STREAM)


async def test_an_event_of_another_source_is_left_alone(api: Client, redis: Redis) -> None:
    await until_followed(api)
    await tell(redis, a_quote("AAPL", "10", source="alphavantage"))
    await tell(redis, a_quote("MARK", "1"))
    await until_price(api, "MARK", 1)

    assert await price_of(api, "AAPL") is None


async def test_a_quote_in_redis_is_served_to_a_process_that_missed_its_event(redis: Redis, open_api: OpenApi) -> None:
    await feed.publish(redis, a_quote("AAPL", "10"))
    api = await open_api()

    assert 10 == await price_of(api, "AAPL")


async def test_after_lost_events_memory_is_made_right_again(api: Client, redis: Redis) -> None:
    await until_followed(api)
    await feed.publish(redis, a_quote("AAPL", "10", age=5))
    await until_price(api, "AAPL", 10)
    await redis.client_kill_filter(_type="normal", skipme=True)
    newer = a_quote("AAPL", "11")
    await redis.hset(feed.key("simulated", "AAPL"), mapping={"version": "1", "body": encode(newer)})
    await until_price(api, "AAPL", 11)
    await until_followed(api)


async def test_two_processes_see_the_same_price_after_an_event(open_api: OpenApi, redis: Redis) -> None:
    one, other = await open_api(), await open_api()
    await until_followed(one)
    await until_followed(other)
    await feed.publish(redis, a_quote("AAPL", "10"))
    await until_price(one, "AAPL", 10)
    await until_price(other, "AAPL", 10)


async def test_an_event_that_cannot_be_read_does_not_end_the_following(api: Client, redis: Redis) -> None:
    """A deploy lets two versions overlap: one may write what the other does not understand."""
    await until_followed(api)
    await redis.xadd(feed.STREAM, {"body": '{"of": "another version"}'})
    await tell(redis, a_quote("AAPL", "11"))
    await until_price(api, "AAPL", 11)


async def test_what_an_unreadable_event_told_is_looked_up(api: Client, redis: Redis, db: asyncpg.Pool) -> None:
    await until_followed(api)
    await feed.publish(redis, a_quote("AAPL", "10", age=5))
    await until_price(api, "AAPL", 10)
    async with acquire(db) as connection:
        await upsert_quote(connection, a_quote("AAPL", "11"))
    await redis.xadd(feed.STREAM, {"body": '{"of": "another version"}'})
    await until_price(api, "AAPL", 11)


async def test_a_quote_that_is_newer_than_what_was_looked_up_is_served(api: Client, ready: Settings) -> None:
    """It comes by the stream while the stores are asked for another symbol."""
    assert api.app is not None
    memory = api.app[MEMORY]

    class Slow(Quotes):
        async def _load_from_stores(self, *_: object) -> None:
            memory.remember(a_quote("AAPL", "11"))

    memory.remember(a_quote("AAPL", "10", age=5))
    found = await Slow(api.app[RESOURCES], memory, api.app[MISSES]).lookup_all(["AAPL", "ORCL"])

    assert 11 == found["AAPL"].price.price


async def test_a_key_that_cannot_be_read_is_no_server_error(api: Client, redis: Redis, ready: Settings) -> None:
    await redis.hset(feed.key(ready.source, "AAPL"), mapping={"version": "1", "body": '{"of": "another version"}'})
    response = await api.get("/api/stock/AAPL")

    assert 200 == response.status
