"""The stores of an operator's command: those of the settings, or in development the embedded ones of `make run`."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from common.embedded import stores
from common.resources import Resources, open_resources
from common.settings import Settings


@asynccontextmanager
async def open_stores() -> AsyncIterator[Resources]:
    """What a command needs; a wrong setting is raised as `InvalidSettings`."""
    env = dict(os.environ)
    if env.get("QUOTEWELL_ENV") == "development":
        with stores(Path(env.get("QUOTEWELL_HOME") or ".quotewell"), env) as urls:
            async with open_resources(Settings.from_env({**env, **urls}), name="ops", patience=10) as resources:
                yield resources
    else:
        async with open_resources(Settings.from_env(env), name="ops", patience=10) as resources:
            yield resources
