"""Work the line: ask the ledger for a call, make it, save and publish what came, settle. The one way data walks in.

Workers do it at each tick, an API process does it for its misses; both are handed whatever stands on top. It decides nothing
that the ledger or the policy decides.
"""

import asyncio
import traceback
from collections.abc import Callable

import structlog

from common.calls.metrics import note_call, note_waits
from common.calls.permits import obtain_permit
from common.calls.publish import publish
from common.calls.settle import settle
from common.core.provider.alpha_vantage import Answer, Refusal
from common.core.provider.outcomes import NO_ANSWER, Outcome
from common.errors import StoreUnavailable
from common.process.resources import Resources
from common.provider import Permit, fetch
from common.store.budget.ledger import Grant, Wait

log = structlog.get_logger(__name__)

POLL_INTERVAL = 0.25  # seconds between two looks at a queue that others change too
MAX_SLEEP = 1.0  # seconds, where the ledger has said when the next call may go


async def carry_out(resources: Resources, permit: Permit) -> Outcome:
    """Make the call, then save, settle and publish. Never raises for what the provider or a store does."""
    grant = permit.grant
    answer: Answer = ()
    outcome, wait = Outcome.OK, None
    try:
        answer = await fetch(resources.provider, permit)
    except Refusal as refusal:
        outcome, wait = refusal.outcome, refusal.wait
        _log_refusal(grant, refusal)
    except Exception as error:  # a task's boundary: the call is settled, and those beside it go on
        outcome = Outcome.UNAVAILABLE if permit.sent else Outcome.UNSENT
        _log_defect(grant, error)
    note_call(grant, outcome)
    resources.health.note("provider", up=outcome not in NO_ANSWER, reason=outcome)
    try:
        settled = await asyncio.shield(settle(resources, grant, outcome, answer, wait=wait, asked=permit.asked))
    except StoreUnavailable:
        log.warning("call_unsettled", call=grant.id, subjects=grant.subjects, outcome=outcome)
        return outcome
    except Exception:  # the same boundary
        log.exception("call_unsettled", call=grant.id, subjects=grant.subjects, outcome=outcome)
        return outcome
    note_waits(settled.waits)
    for quote in settled.quotes:
        await publish(resources, quote)
        log.info("quote_refreshed", call=grant.id, symbol=quote.symbol, **{"class": grant.call_class})
    return outcome


def _log_defect(grant: Grant, error: Exception) -> None:
    """Where it happened, and not the text: that one may hold the address, and so the key."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{place.filename}:{place.lineno}"
    log.error("call_failed", call=grant.id, subjects=grant.subjects, error=type(error).__name__, where=where)


def _log_refusal(grant: Grant, refusal: Refusal) -> None:
    """A refused key is shouted, for nothing but a person helps. A text that nobody knows may echo the key."""
    write = log.error if refusal.outcome is Outcome.BAD_KEY else log.warning
    write(
        "call_refused",
        call=grant.id,
        subjects=grant.subjects,
        outcome=refusal.outcome,
        reason=str(refusal),
        notice=refusal.notice or None,
    )


async def work_queue(resources: Resources, *, keep_on: Callable[[], bool]) -> int:
    """Work the line for as long as `keep_on` says so; calls under way are finished. How many were made."""
    made = 0
    async with asyncio.TaskGroup() as calls:
        while keep_on():
            try:
                answer = await obtain_permit(resources)
            except StoreUnavailable as error:
                resources.health.note("ledger", up=False, reason=str(error))
                break
            resources.health.note("ledger", up=True)
            if isinstance(answer, Permit):
                calls.create_task(carry_out(resources, answer))
                made += 1
            else:
                await asyncio.sleep(poll_delay(answer))
    return made


def poll_delay(answer: Wait) -> float:
    """Seconds until the next look at the queue: as told, but an operator or a job may change it meanwhile."""
    return POLL_INTERVAL if answer.wait is None else min(MAX_SLEEP, answer.wait.total_seconds())
