"""Mail over a real SMTP server: what is written, how it is encrypted, and what a server that refuses or is away means."""

import shutil
import ssl
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from common.mail import Letter, MailNotSent, MailRefused, send
from common.process.settings import Settings
from tests.harness.mail_server import mail_server, text_of

LETTER = Letter("ada@example.com", "A subject", "Hello,\n\nthis is the text.\n")
OPENSSL = shutil.which("openssl")


def settings_for(settings: Settings, url: str) -> Settings:
    return replace(settings, smtp_url=url, mail_from="Quotes <quotes@example.org>")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of `localhost`, and its key, in one file."""
    if OPENSSL is None:
        pytest.skip("no certificate can be made here: there is no openssl command")
    folder = tmp_path_factory.mktemp("tls")
    key, made, both = folder / "key.pem", folder / "made.pem", folder / "both.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    use = ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    command = [OPENSSL, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *use]
    subprocess.run([*command, "-keyout", str(key), "-out", str(made)], check=True, capture_output=True)
    both.write_text(key.read_text() + made.read_text())
    return both


@pytest.fixture
def context(certificate: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate)
    return made


async def test_a_mail_arrives_as_plain_text_with_the_headers_of_an_automatic_one(settings: Settings) -> None:
    async with mail_server() as server:
        await send(settings_for(settings, server.url), LETTER)

    [message] = server.received
    assert ["ada@example.com"] == server.recipients
    assert ["example.org"] == server.names
    assert ("text/plain", LETTER.text) == (message.get_content_type(), text_of(message))
    assert {
        "From": "Quotes <quotes@example.org>",
        "To": "ada@example.com",
        "Subject": "A subject",
        "Auto-Submitted": "auto-generated",
    }.items() <= dict(message.items()).items()
    assert message["Date"]
    assert str(message["Message-ID"]).endswith("@example.org>")


async def test_the_user_and_the_password_of_the_url_are_sent_as_they_were_before_they_were_escaped(
    settings: Settings,
) -> None:
    async with mail_server() as server:
        await send(settings_for(settings, f"smtp://ada%40x:right%2Fpassword@127.0.0.1:{server.port}"), LETTER)
        with pytest.raises(MailNotSent) as raised:
            await send(settings_for(settings, f"smtp://ada:wrong@127.0.0.1:{server.port}"), LETTER)

    assert 1 == len(server.received)
    assert [("ada@x", "right/password"), ("ada", "wrong")] == server.logins[:2]
    assert "the mail server answered 535" == str(raised.value)


@pytest.mark.parametrize(("scheme", "implicit"), [("smtp", False), ("smtps", True)])
async def test_tls_is_used_where_the_server_has_it_and_its_certificate_is_verified(
    settings: Settings,
    context: ssl.SSLContext,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    implicit: bool,
) -> None:
    async with mail_server(context, implicit=implicit) as server:
        ours = settings_for(settings, f"{scheme}://localhost:{server.port}")
        with pytest.raises(MailNotSent):
            await send(ours, LETTER)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        await send(ours, LETTER)

    assert [True] == server.encrypted


async def test_a_password_is_not_sent_to_another_machine_without_tls(settings: Settings) -> None:
    async with mail_server() as server:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("common.mail.LOCAL", ())  # as if it were another machine
            with pytest.raises(MailNotSent):
                await send(settings_for(settings, f"smtp://ada:secret@127.0.0.1:{server.port}"), LETTER)

    assert ([], []) == (server.logins, server.received)


@pytest.mark.parametrize(
    ("refusal", "error"), [("550 no such user here", MailRefused), ("451 come again later", MailNotSent)]
)
async def test_a_refused_recipient_is_given_up_or_tried_again_as_the_server_says(
    settings: Settings, refusal: str, error: type[Exception]
) -> None:
    async with mail_server() as server:
        server.refusals.append(refusal)
        with pytest.raises(MailNotSent) as raised:
            await send(settings_for(settings, server.url), LETTER)

    assert error is type(raised.value)
    assert "no such user" not in str(raised.value)


@pytest.mark.parametrize("recipient", ["a,b@example.com", "a<b@example.com", "ada@exa>mple.com", '"@example.com'])
async def test_an_address_that_no_mail_can_carry_is_refused(settings: Settings, recipient: str) -> None:
    async with mail_server() as server:
        with pytest.raises(MailRefused):
            await send(settings_for(settings, server.url), replace(LETTER, recipient=recipient))

    assert [] == server.received


async def test_a_server_that_is_away_is_named_without_its_password(settings: Settings) -> None:
    async with mail_server() as server:
        url = f"smtp://ada:CANARY@127.0.0.1:{server.port}"

    with pytest.raises(MailNotSent) as raised:
        await send(settings_for(settings, url), LETTER)

    assert "CANARY" not in str(raised.value) + repr(settings_for(settings, url))
