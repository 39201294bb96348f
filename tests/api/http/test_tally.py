"""Counts within a window: who is refused, until when, and what is given back."""

import time

import time_machine
from limits import parse
from redis.asyncio import Redis

from api.http.tally import Tally
from common.process.resources import Resources

HOUR, DAY = parse("1/hour"), parse("5/day")


async def test_the_first_limit_that_is_broken_is_told_with_the_time_until_its_window_ends(resources: Resources) -> None:
    tally = Tally(resources, "test")
    with time_machine.travel(3600 * 1000 + 600, tick=False):
        first = await tally.count([(HOUR, "ada"), (DAY, "ada")])
        second = await tally.count([(HOUR, "ada"), (DAY, "ada")])

        assert (None, 0.0) == (first.refused, first.wait())
        assert (HOUR, 3000.0) == (second.refused, second.wait())


async def test_the_next_window_begins_with_nothing(resources: Resources) -> None:
    tally, now = Tally(resources, "test"), time.time()
    with time_machine.travel(now, tick=False) as clock:
        await tally.count([(HOUR, "ada")])
        clock.move_to(now + 3600)
        following = await tally.count([(HOUR, "ada")])

    assert following.refused is None


async def test_what_is_given_back_may_be_taken_again(resources: Resources) -> None:
    tally = Tally(resources, "test")
    await (await tally.count([(HOUR, "ada")])).give_back()

    assert (await tally.count([(HOUR, "ada")])).refused is None
    assert (await tally.count([(HOUR, "ada")])).refused is HOUR


async def test_two_processes_count_together_and_two_prefixes_apart(resources: Resources, redis: Redis) -> None:
    await Tally(resources, "one").count([(HOUR, "ada")])
    together = await Tally(resources, "one").count([(HOUR, "ada")])
    apart = await Tally(resources, "two").count([(HOUR, "ada")])

    assert (HOUR, None) == (together.refused, apart.refused)
    assert {"one", "two"} == {key.partition(":")[0] async for key in redis.scan_iter("*LIMIT*")}
