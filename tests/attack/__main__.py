"""`python -m tests.attack [GROUP ...]`: attack the service from loopback, and print the verdict as one JSON object in the last line."""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Sequence

from tests.attack import borders, floods, generated, races, shapes, streams, tokens
from tests.attack.judge import MAX_RSS_GROWTH, Judge
from tests.attack.probes import probing
from tests.attack.target import Target, open_target

GROUPS: dict[str, Callable[[Target], Awaitable[None]]] = {
    "tokens": tokens.attack,
    "borders": borders.attack,
    "shapes": shapes.attack,
    "races": races.attack,
    "streams": streams.attack,
    "floods": floods.attack,
    "generated": generated.attack,
}
GROUP_TIMEOUT = {"floods": 300.0, "generated": 480.0}  # seconds
TIMEOUT = 150.0  # seconds of any other group


async def run(names: Sequence[str], judge: Judge) -> None:
    """Run these groups one after another on the same processes."""
    async with open_target(judge) as target, probing(target.url, judge):
        for name in names:
            judge.begin_group()
            began, before = time.monotonic(), judge.requests
            await _attack(name, target)
            target.note_growth()
            _print(name, judge, judge.requests - before, time.monotonic() - began)
        judge.begin_group()
        target.read_logs()
        _print("the log", judge, 0, 0.0)


async def _attack(name: str, target: Target) -> None:
    """One group. One that does not end, or fails, is a failure of its own; the others still run."""
    bound = GROUP_TIMEOUT.get(name, TIMEOUT)
    try:
        async with asyncio.timeout(bound):
            await GROUPS[name](target)
    except TimeoutError:
        target.judge.fail("status_500", f"{name} has not ended within {bound:g} s")
    except Exception as error:
        target.judge.fail("status_500", f"{name} could not go on: {type(error).__name__}: {error}")


def _print(name: str, judge: Judge, requests: int, seconds: float) -> None:
    growth = {process: round(mib, 1) for process, mib in judge.growth.items()}
    found = {kind: len(details) for kind, details in judge.found.items()}
    statuses = dict(sorted(judge.statuses.items()))
    print(
        f"{name}: {requests} requests in {seconds:.0f} s, {statuses}, MiB more {growth}, {found or 'holds'}", flush=True
    )
    for line in judge.report():
        print(line, flush=True)


def main() -> int:
    names = sys.argv[1:] or list(GROUPS)
    if unknown := set(names) - set(GROUPS):
        print(f"expected some of {', '.join(GROUPS)}, not {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the attackers' own connections
    judge, ended = Judge(), False
    try:
        asyncio.run(run(names, judge))
        ended = True
    finally:
        if judge.rss_growth > MAX_RSS_GROWTH:
            print(f"memory: an API process grew by {judge.rss_growth} MiB, at most {MAX_RSS_GROWTH:g} are allowed")
        print(json.dumps(judge.as_json()), flush=True)
    return 0 if ended and judge.holds else 1


if __name__ == "__main__":
    sys.exit(main())
