"""Send a mail over SMTP.

`smtps://` is TLS from the start. `smtp://` starts TLS if the server offers it. With a user, the server must offer it, because the password
could be read on the way; only a server on this machine may do without. Certificates are verified.
"""

import ssl
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid, parseaddr
from typing import Any
from urllib.parse import unquote, urlsplit

import aiosmtplib

from common.errors import QuotewellError
from common.process.settings import Settings

TIMEOUT = 4.0  # seconds for each answer of the server
PORTS = {"smtp": 587, "smtps": 465}
LOCAL = ("localhost", "127.0.0.1", "::1")


class MailNotSent(QuotewellError):
    """The server does not answer, or does not take mail now; try again later."""


class MailRefused(MailNotSent):
    """The server will never take this mail: its recipient cannot be written, or does not exist."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail of plain text."""

    recipient: str
    subject: str
    text: str = field(repr=False)


async def send(settings: Settings, letter: Letter) -> None:
    """Hand a mail to the server; raise `MailNotSent` or `MailRefused`. Their messages have no text of the server's, only its codes."""
    try:
        message = _message(settings.mail_from, letter)
    except (ValueError, IndexError) as error:
        raise MailRefused("the recipient's address cannot be written into a mail") from error
    try:
        await aiosmtplib.send(message, recipients=[letter.recipient], **_server(settings))
    except aiosmtplib.SMTPRecipientsRefused as error:
        codes = [refusal.code for refusal in error.recipients]
        kind = MailRefused if all(code >= 500 for code in codes) else MailNotSent
        raise kind(f"the mail server refused the recipient with {codes}") from error
    except aiosmtplib.SMTPResponseException as error:
        raise MailNotSent(f"the mail server answered {error.code}") from error
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        raise MailNotSent(f"the mail server cannot be used: {type(error).__name__}") from error


def _message(sender: str, letter: Letter) -> EmailMessage:
    name, address = parseaddr(sender)
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(name, addr_spec=address)
    message["To"] = Address(addr_spec=letter.recipient)
    message["Subject"] = letter.subject
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=_domain(sender))
    message["Auto-Submitted"] = "auto-generated"  # no automatic replies (RFC 3834)
    message.set_content(letter.text)
    return message


def _domain(sender: str) -> str:
    return parseaddr(sender)[1].rpartition("@")[2]


def _server(settings: Settings) -> dict[str, Any]:
    """The arguments of `aiosmtplib.send` for the mail server."""
    parts = urlsplit(settings.smtp_url)
    secret = parts.username is not None
    starts_tls = None if not secret or parts.hostname in LOCAL else True
    return {
        "hostname": parts.hostname,
        "port": parts.port or PORTS[parts.scheme],
        "local_hostname": _domain(settings.mail_from),  # otherwise it asks the resolver for this machine's name
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "use_tls": parts.scheme == "smtps",
        "start_tls": False if parts.scheme == "smtps" else starts_tls,
        "tls_context": ssl.create_default_context(),
        "timeout": TIMEOUT,
    }
