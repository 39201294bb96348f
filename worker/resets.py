"""The mail with which a forgotten password is replaced. The token is made here, so its plain text is in the mail alone."""

from datetime import datetime

import structlog

from common.core.secrets import digest, new_secret
from common.mail import Letter
from common.process.resources import Resources
from common.store.accounts.audit import Act, insert_act
from common.store.accounts.outbox import Mail
from common.store.accounts.resets import RESET_TTL, issue_reset
from common.store.accounts.users import User, select_user_by_name
from common.store.connection.pool import Connection

TEXT = """\
Hello {username},

somebody requested a new password for your Quotewell account.
Time: {time} UTC
Address: {address}

{how}

It is good once, for {minutes} minutes. A newer mail makes it void.

If this was not you, do nothing: your password is unchanged.
"""
WITH_LINK = "Choose the password on this page:\n{site}/reset#{token}\n\nIf it asks for a code, this is it:\n{token}"
WITHOUT_LINK = "This is the code with which to choose it:\n{token}"


log = structlog.get_logger(__name__)


async def write_letter(connection: Connection, resources: Resources, mail: Mail) -> Letter | None:
    """The mail, with a token that is good from now on; None if no account has this name, it is locked, or it got too many mails."""
    content = mail.content
    user = await select_user_by_name(connection, content["name"])
    if mail.tries == 1:
        await _note(connection, user, mail)
    token = new_secret()
    if user is None or user.locked or not await issue_reset(connection, user.id, mail.id, digest(token)):
        return None
    site = resources.settings.public_url
    text = TEXT.format(
        username=user.username,
        time=f"{datetime.fromisoformat(content['at']):%Y-%m-%d %H:%M}",
        address=content["address"],
        how=(WITH_LINK if site else WITHOUT_LINK).format(site=site, token=token),
        minutes=round(RESET_TTL.total_seconds() / 60),
    )
    return Letter(user.email, "A new password for Quotewell", text)


async def _note(connection: Connection, user: User | None, mail: Mail) -> None:
    """Record the request in the audit, once, without the name that was only tried."""
    found, address, request_id = user.id if user else None, mail.content["address"], mail.content["request_id"]
    act = Act("reset_requested", "anybody", found, address, request_id=request_id)
    await insert_act(connection, act)
    log.info("reset_requested", user=found, actor=act.actor, address=address, request_id=request_id)
