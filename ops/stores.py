"""What a command works on: the stores of the settings, or in development the embedded ones of `make run`."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from common.errors import StoreUnavailable, StoreUnfit
from common.process.embedded import stores
from common.process.entry import open_process_logs
from common.process.resources import Resources, open_resources
from common.process.settings import Settings

STATEMENT_TIMEOUT = 10  # seconds
T = TypeVar("T")


@contextmanager
def open_settings() -> Iterator[Settings]:
    """The settings, and their stores while it is open; a wrong setting is raised as `InvalidSettings`."""
    env = dict(os.environ)
    if env.get("QUOTEWELL_ENV") == "development":
        with stores(Path(env.get("QUOTEWELL_HOME") or ".quotewell"), env) as urls:
            yield Settings.from_env({**env, **urls})
    else:
        yield Settings.from_env(env)


@asynccontextmanager
async def open_stores() -> AsyncIterator[Resources]:
    """What a command needs, and a log on stderr: stdout is the report's. `StoreUnavailable` says what to do."""
    with open_settings() as settings:
        _open_logs(settings)
        try:
            async with open_resources(settings, name="ops", statement_timeout=STATEMENT_TIMEOUT) as resources:
                yield resources
        except StoreUnfit as error:
            raise StoreUnfit(
                f"the database refuses: {first_line(error)}; see that DATABASE_URL is right, then `quotewell migrate`"
            ) from error
        except StoreUnavailable as error:
            raise StoreUnavailable(f"{error}; see that it runs, and that DATABASE_URL leads to it") from error


def _open_logs(settings: Settings) -> None:
    """On stderr. A person at a terminal reads the report, so there only what went wrong is logged; the audit has the rest."""
    quieter = replace(settings, log_level="WARNING") if sys.stderr.isatty() else settings
    with redirect_stdout(sys.stderr):
        open_process_logs(quieter)


def first_line(error: Exception) -> str:
    """What the server behind an error says, without its hints."""
    return str(error.__cause__ or error).partition("\n")[0]


def call(operation: Callable[[Resources], Awaitable[T]]) -> T:
    """Open the stores, do one operation, and close them."""

    async def run() -> T:
        async with open_stores() as resources:
            return await operation(resources)

    return asyncio.run(run())
