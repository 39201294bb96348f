"""The API by the URLs that hosts of databases hand out, and at databases that refuse it: 503, never a 500."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from db.migrate import migrate
from tests.api.conftest import PASSWORD, Client, OpenApi, register
from tests.common.process.test_tls import certificate
from tests.postgres_front import Serve, in_front_of, listening, refusing, saying

__all__ = ["certificate"]  # a fixture


@pytest.fixture
async def port(database_url: str) -> AsyncIterator[int]:
    """PostgreSQL without TLS."""
    async with listening(in_front_of(database_url)) as opened:
        yield opened


@pytest.fixture
async def tls_port(database_url: str, certificate: Path) -> AsyncIterator[int]:
    """PostgreSQL with TLS and nothing else."""
    async with listening(in_front_of(database_url, certificate)) as opened:
        yield opened


async def visit(api: Client) -> dict[str, object]:
    """What a visitor hears: whether the database is there, and the status of everything that needs it."""
    health = await (await api.get("/api/health")).json()
    login = await api.post("/api/auth/login", json={"username": "ada", "password": PASSWORD})
    chart = await api.get("/api/stock/AAPL/chart?wait=5")
    search = await api.get("/api/search/micro")
    return {"database": health["database"], "login": login.status, "chart": chart.status, "search": search.status}


WELL = {"database": "connected", "login": 200, "chart": 200, "search": 200}
FORMS = [
    "postgres://postgres@{host}/{name}",
    "postgresql+asyncpg://postgres@{host}/{name}",
    "postgresql://postgres:p%40ss%2Fw@{host}/{name}?sslmode=prefer",
    "postgresql://postgres@{host}/{name}?sslmode=disable&connect_timeout=10&keepalives=1&keepalives_idle=30",
    "postgresql://postgres@{host}/{name}?sslmode=allow&target_session_attrs=read-write&application_name=mine",
    "postgresql://postgres@{host}/{name}?gssencmode=disable&client_encoding=utf8&options=-c%20jit%3Doff",
    "postgresql://postgres@{host}/{name}?pgbouncer=true&connection_limit=5&schema=public&pool_timeout=5",
    "postgresql://postgres@{host}/{name}?supa=base-pooler.x&statement_cache_size=0",
    "postgresql://postgres@127.0.0.1:9,{host}/{name}",
    "postgresql://postgres@/{name}?host=127.0.0.1&port={port}",
    "postgresql://postgres@{host}/{name}?schema=public&search_path=public&statement_timeout=5000",
]


def fill(form: str, port: int, database_url: str) -> str:
    name = database_url.partition("?")[0].rpartition("/")[2]
    return form.format(host=f"127.0.0.1:{port}", port=port, name=name)


@pytest.mark.parametrize("form", FORMS)
async def test_everything_works_by_a_url_as_hosts_write_it(
    form: str, port: int, database_url: str, open_api: OpenApi
) -> None:
    url = fill(form, port, database_url)
    api = await open_api(database_url=url)
    await register(api, "ada")

    assert WELL == await visit(api)
    assert [] == await asyncio.to_thread(migrate, url)


TLS_FORMS = [
    "postgresql://postgres@localhost:{port}/{name}?sslmode=require&channel_binding=prefer",
    "postgresql://postgres@localhost:{port}/{name}?sslmode=no-verify",
    "postgresql://postgres@localhost:{port}/{name}?ssl=true",
    "postgresql://postgres@localhost:{port}/{name}?sslmode=verify-full&sslrootcert={file}",
    "postgresql://postgres@localhost:{port}/{name}?sslrootcert=system",
    "postgresql://postgres@localhost:{port}/{name}?sslmode=require&sslaccept=strict",
    "postgresql://postgres@127.0.0.1:{port}/{name}?sslmode=verify-ca&sslrootcert={file}",
]


@pytest.mark.parametrize("form", TLS_FORMS)
async def test_everything_works_over_tls_too(
    form: str, tls_port: int, database_url: str, certificate: Path, open_api: OpenApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    url = fill(form.replace("{file}", str(certificate)), tls_port, database_url)
    api = await open_api(database_url=url)
    await register(api, "ada")

    assert WELL == await visit(api)
    assert [] == await asyncio.to_thread(migrate, url)


async def unavailable(api: Client) -> set[tuple[int, str]]:
    """How the API answers what needs a database."""
    name = {"username": "eve", "password": PASSWORD}
    answers = [
        await api.post("/api/auth/login", json=name),
        await api.post("/api/auth/register", json={**name, "email": "eve@example.com"}),
        await api.get("/api/stock/AAPL/chart"),
    ]
    return {(answer.status, (await answer.json())["code"]) for answer in answers}


AWAY = {(503, "store_unavailable")}


@pytest.mark.parametrize(
    "form",
    [
        "postgresql://postgres@127.0.0.1:{port}/{name}?sslmode=require",
        "postgresql://postgres@127.0.0.1:{port}/{name}?sslmode=verify-full&sslrootcert=/no/such/file.pem",
        "postgresql://postgres@127.0.0.1:{port}/{name}?sslmode=require&sslcert=/no/such/file.pem",
        "postgresql://postgres@127.0.0.1:{port}/no-such-database",
        "postgresql://nobody@127.0.0.1:{port}/{name}",
        "postgresql://postgres@127.0.0.1:{port}/{name}?options=-c%20no_such_setting%3D1",
        "postgresql://postgres@127.0.0.1:{port}/{name}?options=endpoint%3Dep-a-1",
        "postgresql://postgres@127.0.0.1:{port}/{name}?statement_timeout=soon",
        "postgresql://postgres@127.0.0.1:{port}/{name}?target_session_attrs=standby",
        "postgresql://postgres@no..host/{name}",
        "postgresql://postgres@{label}.example/{name}",
        "postgresql://postgres@%2Fno%2Fsuch%2Ffolder/{name}",
    ],
)
async def test_a_connection_that_is_refused_is_a_503(
    form: str, port: int, database_url: str, open_api: OpenApi
) -> None:
    api = await open_api(database_url=fill(form.replace("{label}", "a" * 70), port, database_url))

    assert AWAY == await unavailable(api)
    assert "disconnected" == (await (await api.get("/api/health")).json())["database"]


REFUSALS = [
    ("28P01", 'password authentication failed for user "postgres"'),
    ("28000", 'no pg_hba.conf entry for host "192.0.2.1", user "postgres", database "d", no encryption'),
    ("3D000", 'database "d" does not exist'),
    ("53300", "sorry, too many clients already"),
    ("57P03", "the database system is starting up"),
    ("57P01", "terminating connection due to administrator command"),
    ("08P01", "unsupported startup parameter: idle_in_transaction_session_timeout"),
    ("08P01", "Endpoint ID is not specified"),
    ("08004", "server login has been failing, try again later"),
    ("XX000", "Tenant or user not found"),
    ("0A000", "unsupported frontend protocol 3.0: server supports 2.0 to 2.0"),
    ("42704", 'unrecognized configuration parameter "channel_binding"'),
    ("55P02", 'parameter "max_connections" cannot be changed without restarting the server'),
    ("22023", 'invalid value for parameter "TimeZone"'),
    ("55000", 'database "d" is not currently accepting connections'),
    ("42501", "permission denied for database d"),
    ("53200", "out of memory"),
    ("P0001", "no"),
    ("ZZZZZ", "an error of a proxy's own"),
]


@pytest.mark.parametrize("refusal", [refusing(*refusal) for refusal in REFUSALS], ids=[text for _, text in REFUSALS])
async def test_whatever_a_server_refuses_with_is_a_503(refusal: Serve, open_api: OpenApi) -> None:
    async with listening(refusal) as port:
        api = await open_api(database_url=f"postgresql://postgres:p@127.0.0.1:{port}/d?sslmode=disable")

        assert AWAY == await unavailable(api)


@pytest.mark.parametrize("mode", ["disable", "prefer", "require"])
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"R\0\0\0\x08\0\0\0\x09",
        b"R\0\0\0\x0c\0\0\0\x0a\0\0\0\0",
        b"S",
        b"\xff" * 64,
    ],
)
async def test_something_that_is_no_postgresql_is_a_503(raw: bytes, mode: str, open_api: OpenApi) -> None:
    async with listening(saying(raw)) as port:
        api = await open_api(database_url=f"postgresql://postgres:p@127.0.0.1:{port}/d?sslmode={mode}")

        assert AWAY == await unavailable(api)
