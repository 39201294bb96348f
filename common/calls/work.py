"""Process the queue: obtain a permit, call the provider, save, settle, publish. All provider data enters here.

Workers do this at each tick, API processes for their misses (dispatcher.py); the ledger decides what each call is for.
"""

import asyncio
import traceback
from collections.abc import Callable

import structlog

from common.calls.metrics import note_call, note_waits
from common.calls.permits import obtain_permit
from common.calls.publish import publish
from common.calls.settle import settle
from common.core.models import Quote
from common.core.provider.alpha_vantage import Answer, Refusal
from common.core.provider.outcomes import NO_ANSWER, Outcome
from common.errors import StoreUnavailable
from common.process.resources import Resources
from common.provider import Permit, fetch
from common.store.budget.ledger import Grant, Wait

log = structlog.get_logger(__name__)

POLL_INTERVAL = 0.25  # seconds; other processes change the queue too
MAX_SLEEP = 1.0  # seconds, even if the ledger named a later time


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
    except Exception as error:  # task boundary: settle this call, and let the others go on
        outcome = Outcome.UNAVAILABLE if permit.sent else Outcome.UNSENT
        _log_defect(grant, error)
    note_call(grant, outcome)
    resources.health.note("provider", up=outcome not in NO_ANSWER, reason=outcome)
    try:
        # shielded: the call is paid for, so a client that disconnects must not stop its answer from being saved
        settled = await asyncio.shield(settle(resources, grant, outcome, answer, wait=wait, asked=permit.asked))
    except StoreUnavailable:
        log.warning("call_unsettled", call=grant.id, subjects=grant.subjects, outcome=outcome)
        return outcome
    except Exception:  # task boundary
        log.exception("call_unsettled", call=grant.id, subjects=grant.subjects, outcome=outcome)
        return outcome
    note_waits(settled.waits)
    for quote in settled.quotes:
        await _publish(resources, grant, quote)
    return outcome


async def _publish(resources: Resources, grant: Grant, quote: Quote) -> None:
    try:
        await publish(resources, quote)
    except Exception:  # task boundary: the quote is saved, and the next chore publishes it
        log.exception("quote_unpublished", call=grant.id, symbol=quote.symbol)
    log.info("quote_refreshed", call=grant.id, symbol=quote.symbol, **{"class": grant.call_class})


def _log_defect(grant: Grant, error: Exception) -> None:
    """Log where it happened, but not the error's text: it may contain the address and with it the key."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{place.filename}:{place.lineno}"
    log.error("call_failed", call=grant.id, subjects=grant.subjects, error=type(error).__name__, where=where)


def _log_refusal(grant: Grant, refusal: Refusal) -> None:
    """A refused key is an error, since only a person can fix it. `notice` is an unknown text with the key removed."""
    log_at_level = log.error if refusal.outcome is Outcome.BAD_KEY else log.warning
    log_at_level(
        "call_refused",
        call=grant.id,
        subjects=grant.subjects,
        outcome=refusal.outcome,
        reason=str(refusal),
        notice=refusal.notice or None,
    )


async def work_queue(resources: Resources, *, keep_on: Callable[[], bool]) -> int:
    """Process the queue while `keep_on()` is true, then let calls under way finish; return how many were made."""
    made = 0
    async with asyncio.TaskGroup() as calls:
        while keep_on():
            try:
                answer = await obtain_permit(resources)
            except StoreUnavailable as error:
                resources.health.note_failure("ledger", error)
                break
            except Exception:  # task boundary: raised here, it would cancel the calls under way, which are paid for
                log.exception("queue_failed")
                break
            resources.health.note("ledger", up=True)
            if isinstance(answer, Permit):
                calls.create_task(carry_out(resources, answer))
                made += 1
            else:
                await asyncio.sleep(poll_delay(answer))
    return made


def poll_delay(answer: Wait) -> float:
    """Seconds until the next look at the queue: bounded, because an operator or another process may change it."""
    return POLL_INTERVAL if answer.wait is None else min(MAX_SLEEP, answer.wait.total_seconds())
