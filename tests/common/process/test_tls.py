"""Redis over TLS: redis-py, Celery and the count of failed logins accept and refuse the same certificates."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from kombu.exceptions import OperationalError
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisLost

from api.accounts.throttle import Throttle
from common.errors import InvalidCredentials, InvalidSettings
from common.process.broker import QUEUE, WORK_LINE, open_celery
from common.process.environment import redis_url
from common.process.resources import open_redis, open_resources
from common.process.settings import Settings
from tests.harness.polling import eventually

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="no certificate can be made here: there is no openssl command")
Reach = Callable[[Settings, Redis], Awaitable[bool]]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of `localhost`, and its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    key, made, both = folder / "key.pem", folder / "made.pem", folder / "both.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    use = ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    command = [str(OPENSSL), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *use]
    subprocess.run([*command, "-keyout", str(key), "-out", str(made)], check=True, capture_output=True)
    both.write_text(key.read_text() + made.read_text())
    return both


@asynccontextmanager
async def tls_in_front_of(url: str, certificate: Path) -> AsyncIterator[int]:
    """The port of something that ends TLS and hands what is in it to Redis."""
    parts, context = urlsplit(url), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    served: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            served.add(task)
        inner, outer = await asyncio.open_connection(parts.hostname, parts.port)
        await asyncio.gather(_copy(reader, outer), _copy(inner, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]
    for task in served:
        task.cancel()
    await asyncio.gather(*served, return_exceptions=True)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while chunk := await source.read(1 << 16):
            target.write(chunk)
            await target.drain()
    except OSError:
        pass  # as over as with an end
    finally:
        target.close()
        with suppress(OSError):
            await target.wait_closed()


@pytest.fixture
async def port(store_urls: dict[str, str], redis: Redis, certificate: Path) -> AsyncIterator[int]:
    async with tls_in_front_of(store_urls["REDIS_URL"], certificate) as opened:
        yield opened


async def a_client_reaches(settings: Settings, redis: Redis) -> bool:
    client = open_redis(settings.redis_url, timeout=5)
    with suppress(RedisLost):
        await client.set("reached", "yes")
    await client.aclose()
    return await redis.get("reached") == "yes"


async def celery_reaches(settings: Settings, redis: Redis) -> bool:
    app = open_celery(settings)
    with app.connection_for_write() as broker, suppress(OperationalError):
        await asyncio.to_thread(app.send_task, WORK_LINE, queue=QUEUE, connection=broker)
    return bool(await redis.llen(f"celery:{QUEUE}"))


async def the_throttle_reaches(settings: Settings, redis: Redis) -> bool:
    async with open_resources(settings, name="tests", statement_timeout=5) as resources:
        with suppress(InvalidCredentials):
            async with Throttle(resources).attempt("ada", "127.0.0.1", is_known=nobody):
                raise InvalidCredentials("wrong")
    return bool(await redis.keys("throttle*"))


async def nobody() -> bool:
    return False


CLIENTS = pytest.mark.parametrize("reaches", [a_client_reaches, celery_reaches, the_throttle_reaches])


def over_tls(settings: Settings, url: str, verify: str) -> Settings:
    return replace(settings, redis_url=redis_url({"REDIS_URL": url, "REDIS_TLS_VERIFY": verify}))


@CLIENTS
@pytest.mark.parametrize("verify", ["", "on"])
async def test_a_self_signed_certificate_is_refused(
    reaches: Reach, verify: str, settings: Settings, redis: Redis, port: int
) -> None:
    assert not await reaches(over_tls(settings, f"rediss://localhost:{port}", verify), redis)


@CLIENTS
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_with_verification_off_any_certificate_is_taken(
    reaches: Reach, host: str, settings: Settings, redis: Redis, port: int
) -> None:
    ready = over_tls(settings, f"rediss://{host}:{port}", "off")

    await eventually(lambda: reaches(ready, redis), what="Redis is reached")


@CLIENTS
async def test_a_ca_that_the_url_names_is_believed(
    reaches: Reach, settings: Settings, redis: Redis, port: int, certificate: Path
) -> None:
    ready = over_tls(settings, f"rediss://localhost:{port}?ssl_ca_certs={certificate}", "on")

    await eventually(lambda: reaches(ready, redis), what="Redis is reached")


@CLIENTS
async def test_a_ca_that_openssl_is_told_of_is_believed(
    reaches: Reach, settings: Settings, redis: Redis, port: int, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    ready = over_tls(settings, f"rediss://localhost:{port}", "on")

    await eventually(lambda: reaches(ready, redis), what="Redis is reached")


@CLIENTS
async def test_a_certificate_of_another_host_is_refused_though_its_ca_is_believed(
    reaches: Reach, settings: Settings, redis: Redis, port: int, certificate: Path
) -> None:
    ready = over_tls(settings, f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}", "on")

    assert not await reaches(ready, redis)


def test_an_address_that_was_read_is_read_as_the_same_again() -> None:
    env = {"REDIS_URL": "rediss://:p%2Fw@h:6380/1?ssl_ca_certs=/a/b.pem", "REDIS_TLS_VERIFY": "off"}
    read = redis_url(env)

    assert "rediss://:p%2Fw@h:6380/1?ssl_ca_certs=/a/b.pem&ssl_cert_reqs=none" == read
    assert read == redis_url({**env, "REDIS_URL": read})


@pytest.mark.parametrize(
    ("options", "verify"),
    [("ssl_cert_reqs=none", "on"), ("ssl_cert_reqs=required", "off"), ("ssl_check_hostname=false", "on")],
)
def test_an_address_that_contradicts_the_setting_is_refused(options: str, verify: str) -> None:
    with pytest.raises(InvalidSettings, match="REDIS_TLS_VERIFY is on or off"):
        redis_url({"REDIS_URL": f"rediss://h?{options}", "REDIS_TLS_VERIFY": verify})
