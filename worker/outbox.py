"""Send the mail that waits in the outbox. A failed try is repeated later; what expires is given up and logged.

Each step commits before the next: no lock is held while the mail server takes its time, and a mail that makes a step fail backs off.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from common import mail
from common.errors import StoreUnavailable
from common.process.resources import Resources
from common.store.accounts.outbox import Mail, claim_mail, delete_mail
from common.store.accounts.resets import KIND
from common.store.connection.pool import Connection, acquire, transaction
from worker.resets import write_letter

SEND_TIMEOUT = 10.0  # seconds for a whole mail; shorter than `RETRY_DELAY`

Writer = Callable[[Connection, Resources, Mail], Awaitable[mail.Letter | None]]
WRITERS: Mapping[str, Writer] = {KIND: write_letter}  # by kind; None: there is nobody to write to

log = structlog.get_logger(__name__)


async def send_mail(resources: Resources, *, keep_on: Callable[[], bool]) -> None:
    """Send what is due until nothing is, the mail server fails, or `keep_on` says no. Nothing happens without a mail server."""
    if not resources.settings.smtp_url:
        return
    try:
        while keep_on() and await _send_next(resources):
            pass
    except StoreUnavailable as error:
        resources.health.note("ledger", up=False, reason=str(error))


async def _send_next(resources: Resources) -> bool:
    """Send one mail; return whether to go on. A mail that was not sent stays claimed until its next try."""
    async with acquire(resources.db) as connection:
        claimed = await claim_mail(connection, tuple(WRITERS))
    if claimed is None:
        return False
    if claimed.expired:
        log.warning("mail_given_up", mail=claimed.id, kind=claimed.kind, tries=claimed.tries - 1)
    elif not await _deliver(resources, claimed):
        return False
    async with acquire(resources.db) as connection:
        await delete_mail(connection, claimed.id)
    return True


async def _deliver(resources: Resources, claimed: Mail) -> bool:
    """Write and send a mail; return whether it needs no further try: there is nobody to write to, it was sent, or will never be taken."""
    async with transaction(resources.db) as connection:
        letter = await WRITERS[claimed.kind](connection, resources, claimed)
    if letter is None:
        return True
    try:
        async with asyncio.timeout(SEND_TIMEOUT):
            await mail.send(resources.settings, letter)
    except mail.MailRefused as error:
        log.warning("mail_refused", mail=claimed.id, kind=claimed.kind, reason=str(error))
        return True
    except (mail.MailNotSent, TimeoutError) as error:
        resources.health.note("mail", up=False, reason=str(error) or "the mail server did not answer in time")
        return False
    resources.health.note("mail", up=True)
    log.info("mail_sent", mail=claimed.id, kind=claimed.kind, tries=claimed.tries)
    return True
