"""`quotewell doctor`: all checks, a line each, with what to do. It changes nothing, and makes no call to the provider."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from msgspec import Struct
from rich.text import Text

from common.errors import InvalidSettings
from common.operations.calls import report_calls
from common.operations.status import report_status
from common.process.resources import Resources
from ops.arguments import AsJson
from ops.commands.checks import (
    Check,
    check_beat,
    check_database,
    check_disk,
    check_key,
    check_provider,
    check_reads,
    check_redis,
    check_secret,
    check_worker,
)
from ops.render import AWAY, REFUSED, WRONG, Block, Cell, pairs, render, word
from ops.stores import open_stores

NEEDED = ("PostgreSQL", "migrations")  # to check processes and calls
LATEST_CALLS = 20


class Diagnosis(Struct, frozen=True):
    """All that was looked at, and how much of it is not well."""

    problems: int
    warnings: int
    checks: list[Check]


def doctor(as_json: AsJson = False) -> None:
    """Check everything, and say what to do: settings, stores, migrations, clock, key, limits, processes, provider, disk.

    It costs no call to the provider. Exits with 0 if there is no problem, whatever it warns of.
    """
    checks = asyncio.run(_collect())
    states = Counter(check.state for check in checks)
    render(Diagnosis(states["problem"], states["warning"], checks), _show, as_json=as_json)
    if states["problem"]:
        sys.exit(_code({check.name for check in checks if check.state == "problem"}))


def _code(problems: set[str]) -> int:
    if "settings" in problems:
        return WRONG
    return AWAY if problems & {"PostgreSQL", "Redis"} else REFUSED


async def _collect() -> list[Check]:
    try:
        async with open_stores() as resources:
            return [check async for check in _examine(resources)]
    except InvalidSettings as error:
        return [Check("settings", "problem", str(error), "mend it, then see what else there is")]


async def _examine(resources: Resources) -> AsyncIterator[Check]:
    yield check_secret(resources.settings)
    if not resources.settings.public_reads:
        yield check_reads(resources.settings)
    is_readable = True
    async for check in check_database(resources):
        yield check
        is_readable = is_readable and not (check.state == "problem" and check.name in NEEDED)
    async for check in check_redis(resources):
        yield check
    for check in check_key(resources.settings, os.environ):
        yield check
    if is_readable:
        status = await report_status(resources)
        calls = (await report_calls(resources, most=LATEST_CALLS)).calls
        yield check_worker(status)
        yield check_beat(status.beat)
        yield check_provider(status.provider, Counter(call.outcome or "in_flight" for call in calls))
    yield check_disk(Path(os.environ.get("QUOTEWELL_HOME") or ".quotewell"))


def _show(diagnosis: Diagnosis) -> Iterator[Block]:
    yield pairs((check.name, _line(check)) for check in diagnosis.checks)
    yield f"\n{_count(diagnosis.problems, 'problem')}, {_count(diagnosis.warnings, 'warning')}"


def _line(check: Check) -> Cell:
    todo = f"; {check.todo}" if check.todo else ""
    return Text.assemble(word(check.state), f": {check.told}{todo}")


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'s' * (number != 1)}"
