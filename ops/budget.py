"""The provider's budget from the operator's side: hold all calls for a time, or let them go on."""

import asyncio
import json
from datetime import timedelta
from typing import Annotated

import typer

from common.core.limits import parse_duration
from common.core.outcomes import Hold
from common.store import ledger
from common.store.pool import transaction
from ops.stores import open_stores

app = typer.Typer(no_args_is_help=True, help="What the provider still allows.")


@app.command("hold")
def hold(
    duration: Annotated[str, typer.Option("--for", help="How long, such as 24h or 90min.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make no call for a while: after the database was emptied or restored, it has forgotten calls that the provider counts."""
    until = asyncio.run(_hold(parse_duration(duration, "--for")))
    print(json.dumps({"held_until": until}) if as_json else f"no call until {until}")


@app.command("release")
def release() -> None:
    """End every hold: the next call may go at once."""
    asyncio.run(_release())
    print("calls go on")


async def _hold(duration: timedelta) -> str:
    async with open_stores() as resources, transaction(resources.db) as held:
        until = await ledger.lock_ledger(held) + duration
        await ledger.upsert_hold(held, resources.ask.account, Hold(until, "operator", probing=False))
    return until.isoformat(timespec="seconds")


async def _release() -> None:
    async with open_stores() as resources, transaction(resources.db) as held:
        await ledger.lock_ledger(held)
        await ledger.update_released(held, resources.ask.account)
