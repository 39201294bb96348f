"""A real SMTP server on this event loop. It keeps what it receives, and answers as a test tells it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass(slots=True)
class MailServer:
    """`refusals`: what the next recipients are answered; `logins`: the user and password of each client."""

    port: int = 0
    received: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def handle_RCPT(self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]) -> str:  # noqa: N802
        if self.refusals:
            return self.refusals.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        self.received.append(message)
        self.recipients += envelope.rcpt_tos
        assert server.transport is not None
        self.encrypted.append(server.transport.get_extra_info("sslcontext") is not None)
        self.names.append(str(session.host_name))
        return "250 OK"

    def authenticate(self, *given: Any) -> AuthResult:
        """`given`: the server, the session, the envelope, the mechanism, and what the client sent."""
        assert isinstance(given[-1], LoginPassword)
        user, password = given[-1].login.decode(), given[-1].password.decode()
        self.logins.append((user, password))
        return AuthResult(success=password == "right/password", handled=False)


def text_of(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


@asynccontextmanager
async def mail_server(context: ssl.SSLContext | None = None, *, implicit: bool = False) -> AsyncIterator[MailServer]:
    """`context`: it offers STARTTLS, or with `implicit` TLS from the start. It accepts logins, and requires none."""
    served = MailServer()
    offered = None if implicit else context

    def protocol() -> SMTP:
        return SMTP(
            served,
            hostname="mail.test",
            tls_context=offered,
            auth_require_tls=False,
            authenticator=served.authenticate,
            loop=asyncio.get_running_loop(),
        )

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=context if implicit else None)
    async with server:
        served.port = server.sockets[0].getsockname()[1]
        yield served
