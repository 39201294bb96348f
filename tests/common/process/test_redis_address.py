"""Redis's URL as hosts write it: redis-py and kombu read the same from it, and an option that they do not share is refused by name."""

import ssl
from typing import Any

import pytest
from kombu.transport.redis import Channel, Transport
from redis.asyncio import BlockingConnectionPool, SSLConnection

from common.errors import InvalidSettings
from common.process.broker import open_celery
from common.process.environment import redis_url
from common.process.resources import open_redis
from common.process.settings import Settings

CANARY = "CANARY"


def read(url: str, **env: str) -> str:
    return redis_url({"REDIS_URL": url, **env})


def by_redis_py(url: str) -> dict[str, Any]:
    """What redis-py connects with; making the connection shows that it takes every option."""
    pool = open_redis(url, timeout=1).connection_pool
    assert isinstance(pool, BlockingConnectionPool)
    made, given = pool.make_connection(), pool.connection_kwargs  # type: ignore[no-untyped-call]
    secure = isinstance(made, SSLConnection)
    told = {name: given.get(name) for name in ("username", "password", "ssl_ca_certs")}
    verified = made.ssl_context.cert_reqs == ssl.CERT_REQUIRED if isinstance(made, SSLConnection) else None
    return {**told, "host": made.host, "port": made.port, "db": made.db, "tls": secure, "verified": verified}


def by_kombu(url: str) -> dict[str, Any]:
    """What Celery's broker connects with."""
    stores = {"DATABASE_URL": "postgres://h/d", "REDIS_URL": url, "QUOTEWELL_ENV": "testing"}
    connection = open_celery(Settings.from_env(stores)).connection_for_write()
    channel = object.__new__(Channel)
    channel.connection = Transport.__new__(Transport)
    channel.connection.client = connection
    given = Channel._connparams(channel)  # type: ignore[no-untyped-call]
    told = {name: given.get(name) for name in ("username", "password", "ssl_ca_certs", "host", "port", "db")}
    secure = bool(connection.ssl)
    return {**told, "tls": secure, "verified": given["ssl_cert_reqs"] == ssl.CERT_REQUIRED if secure else None}


PLAIN = {
    "username": None,
    "password": None,
    "ssl_ca_certs": None,
    "port": 6379,
    "db": 0,
    "tls": False,
    "verified": None,
}
SECURE = {"tls": True, "verified": True}
UNVERIFIED = {"tls": True, "verified": False}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", {}),
        ("redis://h:6380/", {"port": 6380}),
        ("redis://h/3", {"db": 3}),
        ("redis://h/3/", {"db": 3}),
        ("redis://h?db=3", {"db": 3}),
        ("redis://h/3?db=3", {"db": 3}),
        ("redis://h?virtual_host=3", {"db": 3}),
        ("redis://default:pw@h:6379", {"username": "default", "password": "pw"}),
        ("redis://:pw@h/0", {"password": "pw"}),
        ("redis://h?password=p%26w&username=u", {"username": "u", "password": "p&w"}),
        ("redis://:p%40s%3Bs%2F%25@h", {"password": "p@s;s/%"}),
        ("redis://:p;w+@h", {"password": "p;w+"}),
        ("redis://:p@w@h", {"password": "p@w"}),
        ("redis://[::1]:6380/1", {"host": "::1", "port": 6380, "db": 1}),
        ("redis://h?protocol=3&family=0", {}),
        ("redis://default:pw@h?family=6&allowUsernameInURI=true", {"username": "default", "password": "pw"}),
        ("redis://h?socket_timeout=5&max_connections=10&health_check_interval=30&retry_on_timeout=true", {}),
        ("redis://h?decode_responses=True&client_name=x&encoding=utf-8", {}),
        ("rediss://h", SECURE),
        ("rediss://h?ssl_cert_reqs=required", SECURE),
        ("rediss://h?ssl_cert_reqs=CERT_REQUIRED", SECURE),
        ("rediss://h?ssl_cert_reqs=optional", SECURE),
        ("rediss://h?ssl_cert_reqs=none", UNVERIFIED),
        ("rediss://h?ssl_cert_reqs=None", UNVERIFIED),
        ("rediss://:pw@h:6380/0?ssl_cert_reqs=CERT_NONE", {**UNVERIFIED, "password": "pw", "port": 6380}),
        ("rediss://h?ssl_cert_reqs=none&ssl_check_hostname=false", UNVERIFIED),
        ("rediss://h?ssl_cert_reqs=&ssl_check_hostname=true", SECURE),
        ("rediss://h?ssl_ca_certs=/a%20b.pem", {**SECURE, "ssl_ca_certs": "/a b.pem"}),
        ("rediss://h?protocol=3&ssl_cert_reqs=none", UNVERIFIED),
    ],
)
def test_redis_py_and_kombu_read_the_same(url: str, expected: dict[str, object]) -> None:
    address = read(url)

    assert {**PLAIN, "host": "h", **expected} == by_redis_py(address)
    assert {**PLAIN, "host": "h", **expected} == by_kombu(address)
    assert address == read(address)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://h?bogus=CANARY", "bogus"),
        ("redis://h?ssl=true", "ssl"),
        ("redis://h?credential_provider=CANARY", "credential_provider"),
        ("rediss://h?ssl_min_version=771", "ssl_min_version"),
        ("rediss://h?ssl_cert_reqs=CANARY", "ssl_cert_reqs"),
        ("rediss://h?ssl_check_hostname=false", "ssl_check_hostname"),
        ("redis://h?ssl_cert_reqs=none", "ssl_cert_reqs"),
        ("redis://h?ssl_ca_certs=/a", "ssl_ca_certs"),
        ("redis://h/CANARY", "database"),
        ("redis://h/-1", "database"),
        ("redis://h?db=CANARY", "database"),
        ("redis://h/1?db=2", "database"),
        ("redis://a:6379,b:6379/0", "one host"),
        ("redis://h?password=a&CANARY!=1", "%26"),
        ("unix:///run/redis.sock?db=1", "redis: or rediss:"),
        ("redis+socket:///run/redis.sock", "redis: or rediss:"),
        ("redis-sentinel://h:26379", "redis: or rediss:"),
    ],
)
def test_what_they_do_not_both_understand_is_refused_by_name(url: str, name: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        read(url)

    assert str(caught.value).startswith("REDIS_URL: expected ")
    assert name in str(caught.value)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(("given", "setting"), [("none", "on"), ("CERT_NONE", "on"), ("required", "off")])
def test_a_url_may_not_contradict_the_setting(given: str, setting: str) -> None:
    with pytest.raises(InvalidSettings, match="REDIS_TLS_VERIFY is on or off"):
        read(f"rediss://h?ssl_cert_reqs={given}", REDIS_TLS_VERIFY=setting)
