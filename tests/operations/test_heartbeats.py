"""A real worker and a real beat leave their pulses."""

import asyncpg

from tests.harness.polling import eventually
from tests.harness.processes import BEAT, WORKER
from tests.harness.stack import open_stack


async def test_beats_tick_is_told_by_its_header_and_a_worker_by_its_name() -> None:
    async with open_stack("100/4s") as stack:
        stack.start("worker", WORKER)
        stack.start("beat", BEAT)
        server = await asyncpg.connect(stack.postgres.url())

        async def seen() -> set[str]:
            names = {row["name"].partition("@")[0] for row in await server.fetch("SELECT name FROM pulses")}
            return names if "beat" in names else set()

        try:
            found = await eventually(seen, what="beat's tick is worked")
        finally:
            await server.close()

    assert {"beat", "worker"} == found
