"""`quotewell doctor`: look at everything, a line each, with what to do. It changes nothing, and makes no call to the provider."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from msgspec import Struct
from rich.text import Text

from common.errors import InvalidSettings
from ops.checks import Check, check_database, check_disk, check_redis, check_secret
from ops.stores import open_stores
from ops.terminal import AWAY, REFUSED, WRONG, AsJson, Cell, open_console, print_json, print_pairs, word
from ops.vitals import check_key, check_processes

NEEDED = ("PostgreSQL", "migrations")  # to look at processes and calls


class Diagnosis(Struct, frozen=True):
    """All that was looked at, and how much of it is not well."""

    problems: int
    warnings: int
    checks: list[Check]


def doctor(as_json: AsJson = False) -> None:
    """Check everything, and say what to do: settings, stores, migrations, clock, key, limits, processes, provider, disk.

    It costs no call to the provider. Exits with 0 if there is no problem, whatever it warns of.
    """
    found = asyncio.run(_collect())
    problems = [check for check in found if check.state == "problem"]
    diagnosis = Diagnosis(len(problems), sum(check.state == "warning" for check in found), found)
    if as_json:
        print_json(diagnosis)
    else:
        _print(diagnosis)
    if problems:
        sys.exit(_code(problems))


def _code(problems: list[Check]) -> int:
    names = {check.name for check in problems}
    if "settings" in names:
        return WRONG
    return AWAY if names & {"PostgreSQL", "Redis"} else REFUSED


async def _collect() -> list[Check]:
    try:
        return [check async for check in _examine()]
    except InvalidSettings as error:
        return [Check("settings", "problem", str(error), "mend it, then see what else there is")]


async def _examine() -> AsyncIterator[Check]:
    async with open_stores() as resources:
        settings = resources.settings
        yield check_secret(settings)
        well = True
        async for check in check_database(resources):
            yield check
            well = well and not (check.state == "problem" and check.name in NEEDED)
        async for check in check_redis(resources):
            yield check
        for check in check_key(settings, os.environ):
            yield check
        if well:
            async for check in check_processes(resources):
                yield check
        yield check_disk(Path(os.environ.get("QUOTEWELL_HOME") or ".quotewell"))


def _print(diagnosis: Diagnosis) -> None:
    console = open_console()
    print_pairs(console, [(check.name, _told(check)) for check in diagnosis.checks])
    problems, warnings = diagnosis.problems, diagnosis.warnings
    console.print(f"\n{_count(problems, 'problem')}, {_count(warnings, 'warning')}")


def _told(check: Check) -> Cell:
    todo = f"; {check.todo}" if check.todo else ""
    return Text.assemble(word(check.state), f": {check.told}{todo}")


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'s' * (number != 1)}"
