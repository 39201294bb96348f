"""Whose call is next: requesters, credit, first quotes, sleepers and pins, at times that the test sets."""

from datetime import timedelta

import asyncpg
import pytest

from common.core.budget.policy import NO_POWER
from common.core.models import CallClass, Function
from common.core.provider.outcomes import Outcome
from common.store.accounts import users, watchlists
from common.store.accounts.users import insert_user
from common.store.budget import gate, ledger, queue
from common.store.budget.ledger import Grant
from common.store.connection.pool import acquire
from common.store.market import symbols
from tests.store.budget.test_grants import SOURCE, budget, granted, pace, quoted, settle, waits
from tests.store.conftest import START, Clock

STRANGER, OTHER = "network:a", "network:b"


async def list_symbols(db: asyncpg.Pool, *symbols_: str) -> None:
    """The provider's listing."""
    async with acquire(db) as connection:
        await connection.execute(
            "INSERT INTO listings (source, symbol, name, exchange, asset_type) SELECT $1, unnest($2::text[]), '', '', ''",
            SOURCE,
            list(symbols_),
        )
        await connection.execute(
            "INSERT INTO listing_state VALUES ($1, ledger_now(), $2) ON CONFLICT DO NOTHING",
            SOURCE,
            max(1, len(symbols_)),
        )


async def account(db: asyncpg.Pool, name: str, *watched: str) -> str:
    """An account that watches symbols, and its name as a requester."""
    async with acquire(db) as connection:
        user = await insert_user(connection, name, f"{name}@example.com", "hash", "scheme")
        for symbol in watched:
            await watchlists.insert_item(connection, user.id, symbol, most=10_000)
    return f"user:{user.id}"


async def ask_for(db: asyncpg.Pool, symbol: str, by: str, function: Function = Function.QUOTE) -> str:
    call_class = CallClass.USER if by.startswith("user") else CallClass.STRANGER
    async with acquire(db) as connection:
        return await queue.enqueue(connection, budget(), function, [symbol], call_class, requester=by, most=1000)


async def groups(db: asyncpg.Pool, symbol: str) -> set[str]:
    async with acquire(db) as connection:
        return set(await connection.fetchval("SELECT groups FROM demand WHERE subject = $1", symbol))


async def fail(db: asyncpg.Pool, grant: Grant, now: object) -> None:
    """The provider has no such symbol."""
    async with acquire(db) as connection:
        await ledger.update_call(connection, grant.id, Outcome.NO_DATA)
        await symbols.upsert_failed(connection, "a", grant.subjects, now, timedelta(minutes=5))  # type: ignore[arg-type]
        await queue.delete_served(connection, grant.id, grant.subjects)


async def answer(db: asyncpg.Pool, grant: Grant) -> None:
    async with acquire(db) as connection:
        await symbols.update_quoted(connection, budget(), dict.fromkeys(grant.subjects))
    await settle(db, grant)


async def test_a_strangers_symbol_that_the_listing_lacks_costs_no_call(db: asyncpg.Pool, clock: Clock) -> None:
    await list_symbols(db, "IBM")

    assert "unlisted" == await ask_for(db, "NONSENSE", STRANGER)
    assert "joined" == await ask_for(db, "IBM", STRANGER)
    async with acquire(db) as connection:
        assert ["IBM"] == [row["subject"] for row in await connection.fetch("SELECT subject FROM demand")]


async def test_without_a_listing_a_strangers_symbol_is_a_trial(db: asyncpg.Pool, clock: Clock) -> None:
    await quoted(db, IBM=0)
    await ask_for(db, "UNHEARD-OF", STRANGER)
    await ask_for(db, "IBM", STRANGER, Function.DAILY)

    assert {"waiting", "stranger", "trial"} == await groups(db, "UNHEARD-OF")
    assert {"waiting", "stranger"} == await groups(db, "IBM")


async def test_a_search_without_a_local_hit_is_a_trial_for_a_stranger_alone(db: asyncpg.Pool, clock: Clock) -> None:
    await list_symbols(db, "IBM")
    await ask_for(db, "TESCO", STRANGER, Function.SEARCH)
    await ask_for(db, "SAINSBURY", "user:1", Function.SEARCH)

    assert {"waiting", "stranger", "trial"} == await groups(db, "TESCO")
    assert {"waiting"} == await groups(db, "SAINSBURY")


async def test_an_account_has_credit_for_five_symbols_that_the_listing_lacks(db: asyncpg.Pool, clock: Clock) -> None:
    await list_symbols(db, "IBM")
    london = [f"S{n}.LON" for n in range(7)]
    for symbol in london:
        await ask_for(db, symbol, "user:1")

    assert [{"waiting", "unlisted"}] * 5 + [{"waiting", "trial"}] * 2 == [await groups(db, symbol) for symbol in london]


async def test_a_symbol_that_exists_gives_its_credit_back_and_one_that_does_not_uses_it_up(
    db: asyncpg.Pool, clock: Clock
) -> None:
    await list_symbols(db, "IBM")
    for n in range(5):
        await ask_for(db, f"S{n}.LON", "user:1")
        grant = await granted(db, budget("1000/1min"), pace(limits="1000/1min"))
        await (answer(db, grant) if n < 2 else fail(db, grant, clock.now))

    for n in range(3):
        await ask_for(db, f"T{n}.LON", "user:1")
    assert ["unlisted", "unlisted", "trial"] == [(await groups(db, f"T{n}.LON") - {"waiting"}).pop() for n in range(3)]
    clock.pass_(timedelta(days=1))
    await ask_for(db, "U.LON", "user:1")
    assert {"waiting", "unlisted"} == await groups(db, "U.LON")


async def test_what_rests_in_quarantine_is_a_trial_whoever_asks(db: asyncpg.Pool, clock: Clock) -> None:
    await list_symbols(db, "IBM")
    await ask_for(db, "GONE", "user:1")
    await fail(db, await granted(db, budget(), pace()), clock.now)

    await ask_for(db, "GONE", "user:2")

    assert {"waiting", "trial"} == await groups(db, "GONE")


async def test_strangers_together_have_a_fifth_while_others_wait(db: asyncpg.Pool, clock: Clock) -> None:
    names = [f"S{n}" for n in range(12)]
    await list_symbols(db, *names)
    await quoted(db, WATCHED=0, OTHER=1, THIRD=2, FOURTH=3, FIFTH=4)
    for n, name in enumerate(names):
        await ask_for(db, name, f"network:{n}")

    classes = []
    for _ in range(20):
        clock.pass_(12.1)
        grant = await granted(db, budget(), pace(clock=10_000 + (clock.now - START).total_seconds()))
        classes.append(grant.call_class)
        await answer(db, grant)
        async with acquire(db) as connection:
            await connection.execute("UPDATE demand SET expires = expires + interval '1 hour'")

    assert 3 <= classes.count(CallClass.STRANGER) <= 5
    assert 15 <= classes.count(CallClass.REFRESH)


async def test_strangers_alone_may_take_the_whole_minute(db: asyncpg.Pool, clock: Clock) -> None:
    names = [f"S{n}" for n in range(5)]
    await list_symbols(db, *names)
    for name in names:
        await ask_for(db, name, STRANGER)

    assert [CallClass.STRANGER] * 5 == [(await granted(db, budget(), pace())).call_class for _ in range(5)]


async def test_of_a_day_strangers_have_a_fifth_though_nobody_else_waits(db: asyncpg.Pool, clock: Clock) -> None:
    limits, names = "1/2s,5/1min,25/1d", [f"S{n}" for n in range(30)]
    await list_symbols(db, *names)
    for n, name in enumerate(names):
        await ask_for(db, name, f"network:{n}")

    made = 0
    for _ in range(30):
        clock.pass_(61)
        async with acquire(db) as connection:
            await connection.execute("UPDATE demand SET expires = expires + interval '1 hour'")
            _, told = await ledger.grant_call(connection, budget(limits), pace(limits=limits, power=NO_POWER))
        if isinstance(told, Grant):
            made += 1
            await answer(db, told)

    assert 5 == made


async def test_whoever_had_fewest_calls_goes_first_and_then_whoever_waited_longest(
    db: asyncpg.Pool, clock: Clock
) -> None:
    names = ["A1", "A2", "A3", "B1", "B2"]
    await list_symbols(db, *names)
    for name in names:
        await ask_for(db, name, f"user:{name[0]}")
        clock.pass_(0.1)

    order = []
    for _ in names:
        grant = await granted(db, budget(), pace())
        order.append(grant.subjects[0])
        await settle(db, grant)

    assert ["A1", "B1", "A2", "B2", "A3"] == order


async def test_a_small_list_does_not_wait_for_a_large_one(db: asyncpg.Pool, clock: Clock) -> None:
    large, small = [f"A{n:03}" for n in range(200)], ["Z1", "Z2", "Z3"]
    await list_symbols(db, *large, *small)
    await account(db, "importer", *large)
    clock.pass_(60)
    await account(db, "newcomer", *small)

    order = []
    for _ in range(8):
        clock.pass_(12)
        grant = await granted(db, budget(), pace())
        order.append(grant.subjects[0])
        await answer(db, grant)

    assert small == [symbol for symbol in order if symbol in small]


async def test_first_quotes_take_every_second_call_of_background(db: asyncpg.Pool, clock: Clock) -> None:
    await list_symbols(db, *"ABCD")
    await quoted(db, OLD=0, OLDER=1, OLDEST=2)
    await account(db, "ada", *"ABCD")

    classes = []
    for n in range(6):
        clock.pass_(12)
        grant = await granted(db, budget(), pace(clock=10_000 + 12 * n))
        classes.append(grant.call_class)
        await answer(db, grant)

    assert [CallClass.FIRST, CallClass.REFRESH] * 3 == classes


async def test_a_first_quote_that_failed_is_left_for_five_minutes(db: asyncpg.Pool, clock: Clock) -> None:
    await list_symbols(db, "A")
    await account(db, "ada", "A")
    grant = await granted(db, budget(), pace())
    async with acquire(db) as connection:
        await ledger.update_call(connection, grant.id, Outcome.UNAVAILABLE)
        await queue.release_unserved(connection, grant.id, jitter=1, counts=True)

    clock.pass_(timedelta(minutes=4))
    assert "idle" == (await waits(db, budget(), pace())).reason
    clock.pass_(timedelta(minutes=2))
    assert CallClass.FIRST == (await granted(db, budget(), pace())).call_class


async def test_nonsense_on_lists_takes_a_fifth_and_a_twentieth(db: asyncpg.Pool, clock: Clock) -> None:
    await list_symbols(db, "IBM")
    await quoted(db, **{f"L{n}": 0 for n in range(20)})
    for who in range(10):
        await account(db, f"eve{who}", *(f"NO{who}X{n}" for n in range(50)))

    nonsense = 0
    for n in range(100):
        clock.pass_(12.1)
        grant = await granted(db, budget(), pace(clock=20_000 + 12 * n))
        if grant.subjects[0].startswith("NO"):
            nonsense += 1
            await fail(db, grant, clock.now)
        else:
            await answer(db, grant)

    assert nonsense <= 100 * (1 / 5 + 1 / 20) + 2


async def test_the_list_of_a_sleeping_account_weighs_nothing_until_it_comes_back(
    db: asyncpg.Pool, clock: Clock
) -> None:
    await quoted(db, A=0)
    name = await account(db, "ada", "A", "B")
    user = int(name.partition(":")[2])

    async def watchers() -> list[int]:
        async with acquire(db) as connection:
            return [row["watchers"] for row in await connection.fetch("SELECT watchers FROM symbols ORDER BY symbol")]

    async with acquire(db) as connection:
        await connection.execute("UPDATE users SET seen_at = now() - interval '31 days'")
        assert 1 == await users.update_asleep(connection, keep=users.SLEEPS_AFTER, most=10)
        assert 0 == await users.update_asleep(connection, keep=users.SLEEPS_AFTER, most=10)
    assert [1, 0] == await watchers()
    async with acquire(db) as connection:
        await watchlists.insert_item(connection, user, "C", most=9)
        await watchlists.delete_item(connection, user, "A")
    assert [1, 0, 0] == await watchers()
    async with acquire(db) as connection:
        await users.update_seen(connection, user)
    assert [1, 1, 1] == await watchers()
    async with acquire(db) as connection:
        await connection.execute("UPDATE users SET asleep = true")
        await users.delete_user(connection, user)
    assert [1, 0, 0] == await watchers()


async def test_a_sleeping_accounts_first_quotes_wait(db: asyncpg.Pool, clock: Clock) -> None:
    await list_symbols(db, "A")
    await account(db, "ada", "A")
    async with acquire(db) as connection:
        await connection.execute("UPDATE users SET asleep = true")
    assert "idle" == (await waits(db, budget(), pace())).reason

    async with acquire(db) as connection:
        await connection.execute("UPDATE users SET asleep = false")
    assert ("A",) == (await granted(db, budget(), pace())).subjects


@pytest.mark.parametrize(
    ("watchers", "reads", "level"), [(0, 0, -1002), (1, 0, 0), (0, 1, -1000), (0, 0.4, -1002), (3, 1, 3), (0, 4, -997)]
)
async def test_a_pin_that_nobody_wants_weighs_half_a_watcher(
    db: asyncpg.Pool, clock: Clock, watchers: int, reads: float, level: int
) -> None:
    async with acquire(db) as connection:
        await connection.execute(
            "INSERT INTO symbols (symbol, pinned, watchers, reads) VALUES ('A', true, $1, $2)", watchers, reads
        )
        weight = await connection.fetchval("SELECT weight_of(watchers, pinned, reads) FROM symbols")
        assert level == await connection.fetchval("SELECT level FROM symbols")
    assert weight == (0.5 if level == -1002 else watchers + reads)


async def test_pins_have_a_quarter_of_backgrounds_day_while_people_want_something(
    db: asyncpg.Pool, clock: Clock
) -> None:
    limits = "1/2s,5/1min,25/1d"
    async with acquire(db) as connection:
        await connection.execute(
            "INSERT INTO symbols (symbol, pinned, source) SELECT 'P' || n, true, $1 FROM generate_series(1, 12) AS n",
            SOURCE,
        )
    await quoted(db, WATCHED=1e9)

    made = []
    for n in range(12):
        clock.pass_(61)
        async with acquire(db) as connection:
            _, told = await ledger.grant_call(connection, budget(limits), pace(limits=limits, clock=10_000 + n))
        if isinstance(told, Grant):
            made.append(told.subjects[0])
            await answer(db, told)

    assert 5 == len(made)
    async with acquire(db) as connection:
        await connection.execute("DELETE FROM symbols WHERE symbol = 'WATCHED'")
    assert made[0] not in (await granted(db, budget(limits), pace(limits=limits, clock=20_000))).subjects


async def test_an_operator_who_forces_is_bound_by_no_share(db: asyncpg.Pool, clock: Clock) -> None:
    limits = "100/1min,4/1d"
    async with acquire(db) as connection:
        for n in range(4):
            await queue.enqueue(connection, budget(), Function.QUOTE, [f"S{n}"], CallClass.OPERATOR, forced=n > 1)

    made = [(await granted(db, budget(limits), pace(limits=limits))).subjects[0] for _ in range(4)]

    assert ["S0", "S1", "S2", "S3"] == sorted(made)
    async with acquire(db) as connection:
        await queue.enqueue(connection, budget(account="b"), Function.QUOTE, ["A", "B", "C"], CallClass.OPERATOR)
    for _ in range(2):
        await granted(db, budget(limits, account="b"), pace(limits=limits))
    assert "idle" == (await waits(db, budget(limits, account="b"), pace(limits=limits))).reason


async def test_of_a_class_that_is_raised_the_newcomer_is_the_requester(db: asyncpg.Pool, clock: Clock) -> None:
    await list_symbols(db, "A")
    await ask_for(db, "A", STRANGER)
    await ask_for(db, "A", "user:7")
    await ask_for(db, "A", OTHER)

    async with acquire(db) as connection:
        row = await connection.fetchrow("SELECT class, groups, asker FROM demand")
    assert ("user", ["waiting"], "user:7") == tuple(row)


async def test_a_ceiling_ends_a_wait_when_it_has_room_again(db: asyncpg.Pool, clock: Clock) -> None:
    limits = "1/2s,5/1min,25/1d"
    await list_symbols(db, "A", "B")
    await ask_for(db, "A", STRANGER)
    await settle(db, await granted(db, budget(limits), pace(limits=limits, power=NO_POWER)))
    clock.pass_(timedelta(hours=1))
    await ask_for(db, "B", STRANGER)
    async with acquire(db) as connection:
        await queue.update_expiry(connection, Function.QUOTE, "B", timedelta(days=2))

    told = await waits(db, budget(limits), pace(limits=limits, power=NO_POWER))

    assert "idle" == told.reason  # one network has one call of the day
    clock.pass_(timedelta(hours=23))
    assert ("B",) == (await granted(db, budget(limits), pace(limits=limits, power=NO_POWER))).subjects


async def test_what_an_account_watches_does_not_count_against_its_minute(db: asyncpg.Pool, clock: Clock) -> None:
    names = [f"S{n}" for n in range(6)]
    await list_symbols(db, *names)
    by = await account(db, "ada", *names)

    async def chart(symbol: str) -> str:
        async with acquire(db) as connection:
            return await queue.enqueue(
                connection, budget(), Function.DAILY, [symbol], CallClass.USER, requester=by, most=3
            )

    assert ["joined"] * 6 == [await chart(name) for name in names]
    assert ["joined"] * 3 + ["unfair"] == [await chart(name) for name in "WXYZ"]


async def test_of_a_list_ten_symbols_are_waited_for_at_once_and_the_rest_come_in_their_turn(
    db: asyncpg.Pool, clock: Clock
) -> None:
    names = [f"S{n:02}" for n in range(12)]
    await list_symbols(db, *names)
    by = await account(db, "ada", *names)

    async def wait_for(symbol: str) -> str:
        async with acquire(db) as connection:
            return await queue.enqueue(
                connection, budget(), Function.QUOTE, [symbol], CallClass.USER, requester=by, most=3
            )

    assert ["joined"] * 10 + ["watched"] * 2 == [await wait_for(name) for name in names]
    assert "joined" == await wait_for("S03")  # what is queued already costs nothing


async def test_what_was_promised_for_now_goes_before_whoever_had_fewer_calls(db: asyncpg.Pool, clock: Clock) -> None:
    await list_symbols(db, "A", "B", "C", "D")
    ada, bob = await account(db, "ada"), await account(db, "bob")
    await ask_for(db, "A", ada)
    await answer(db, await granted(db, budget(), pace()))
    await ask_for(db, "B", ada)
    clock.pass_(1)
    await ask_for(db, "C", bob)
    await ask_for(db, "D", bob)
    async with acquire(db) as connection:
        until = clock.now + timedelta(seconds=30)
        await queue.update_expiry(connection, Function.QUOTE, "B", timedelta(minutes=2), urgent_at=until)
        await queue.update_expiry(
            connection, Function.QUOTE, "B", timedelta(minutes=5), urgent_at=until + timedelta(minutes=3)
        )
    first = (await granted(db, budget(), pace())).subjects
    clock.pass_(30)

    assert ("C",) == first
    assert ("B",) == (await granted(db, budget(), pace())).subjects


async def test_failures_in_a_row_are_counted_until_an_answer(db: asyncpg.Pool, clock: Clock) -> None:
    async with acquire(db) as connection:
        counted = [await gate.update_failed(connection, budget(), clock.now) for _ in range(3)]
        assert [1, 2, 3] == [each.in_a_row for each in counted if each]
        await connection.execute("UPDATE ledgers SET closed_at = ledger_now() + interval '1 s'")
        assert await gate.update_failed(connection, budget(), clock.now) is None
        await gate.update_answered(connection, "a")
        again = await gate.update_failed(connection, budget(), clock.now)
    assert again is not None
    assert 1 == again.in_a_row


async def test_what_only_strangers_read_does_not_dilute_the_lists(db: asyncpg.Pool, clock: Clock) -> None:
    limits = "30/1min"
    await quoted(db, **{f"W{n}": float(n) for n in range(8)})
    async with acquire(db) as connection:
        await connection.execute(
            """
            INSERT INTO symbols (symbol, reads, reads_at, source, clock)
            SELECT 'R' || n, 5, ledger_now(), $1, 0 FROM generate_series(1, 200) AS n
            """,
            SOURCE,
        )

    made = []
    for n in range(90):
        clock.pass_(2.1)
        grant = await granted(db, budget(limits), pace(limits=limits, gap=2, clock=20_000 + 2 * n))
        made.append(grant.subjects[0])
        await answer(db, grant)

    assert 0.25 * 90 <= sum(symbol.startswith("R") for symbol in made) <= 0.3 * 90 + 3


async def test_where_nobody_watches_anything_readers_have_all_of_background(db: asyncpg.Pool, clock: Clock) -> None:
    async with acquire(db) as connection:
        await connection.execute(
            """
            INSERT INTO symbols (symbol, reads, reads_at, source, clock)
            SELECT 'R' || n, 5, ledger_now(), $1, n FROM generate_series(1, 9) AS n
            """,
            SOURCE,
        )

    for n in range(5):
        grant = await granted(db, budget(), pace(clock=20_000 + n))
        assert (f"R{n + 1}",) == grant.subjects
        await answer(db, grant)
        clock.pass_(12)
