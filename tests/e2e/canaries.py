"""Secrets that are planted to be looked for: in which spellings each may stand, and all that processes and stores hold of texts.

It looks at stores and processes from the outside; it does not know what Quotewell does with a secret.
"""

import re
import secrets
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from subprocess import Popen
from typing import Any, TypeAlias

import psutil
import psycopg
from psycopg import sql
from redis import Redis

MIN_LEAK = 16  # characters of a secret's either end: a part of it is a leak too
MAX_CONTEXT = 60  # characters on either side of a find that are shown
TABLES = """
    SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'm') ORDER BY 1
"""

Written: TypeAlias = tuple[str, bytes]  # where it stands, and what


class Canaries:
    """Secrets by the spellings that give them away."""

    def __init__(self) -> None:
        self._plain: dict[bytes, str] = {}  # in lower case
        self._coded: dict[bytes, str] = {}

    def plant(self, name: str, shape: str = "{}") -> str:
        """A new secret; `shape` puts letters around its random part, which alone is looked for."""
        core = f"Qw{secrets.token_hex(8)}Z"
        self._spell(name, core)
        return shape.format(core)

    def add(self, name: str, secret: str) -> None:
        """A secret that somebody else made: random from its first character to its last."""
        for part in (secret[:MIN_LEAK], secret[-MIN_LEAK:]):
            self._spell(name, part)

    def _spell(self, name: str, text: str) -> None:
        self._plain |= dict.fromkeys((text.lower().encode(), text.encode().hex().encode()), name)
        for before in range(3):
            # the letters that stand for these bytes alone, whatever stands before and after them
            coded = b64encode(b"-" * before + text.encode())[(0, 2, 3)[before] : (before + len(text)) * 8 // 6]
            self._coded |= dict.fromkeys((coded, coded.translate(bytes.maketrans(b"+/", b"-_"))), name)

    def find(self, written: Iterable[Written]) -> list[str]:
        """Where which secret stands, once each, with what is around it."""
        found: dict[str, bytes] = {}
        for place, text in written:
            for name, at in (*_find(self._plain, text.lower()), *_find(self._coded, text)):
                found.setdefault(f"{name} in {place}", text[max(0, at - MAX_CONTEXT) : at + MAX_CONTEXT])
        return [f"{where}: {around!r}" for where, around in found.items()]


def _find(spellings: Mapping[bytes, str], text: bytes) -> Iterator[tuple[str, int]]:
    for match in re.finditer(b"|".join(map(re.escape, spellings)) or b"(?!)", text):
        yield spellings[match[0]], match.start()


def logs(folder: Path) -> Iterator[Written]:
    """What every process wrote to stdout and stderr."""
    for path in sorted(folder.glob("*.log")):
        yield path.name, path.read_bytes()


def values(redis_url: str) -> Iterator[Written]:
    """Every key of a Redis and all that it holds."""
    with Redis.from_url(redis_url) as redis:
        for key in redis.scan_iter(count=1000):
            kind = _type(redis, key)
            if kind != "none":  # gone meanwhile
                yield f"the {kind} {key!r} in Redis", repr((key, _value(redis, kind, key))).encode()


def _type(redis: Any, key: bytes) -> str:
    return str(redis.execute_command("TYPE", key).decode())


def _value(redis: Any, kind: str, key: bytes) -> Any:
    read = {
        "string": ("GET", key),
        "hash": ("HGETALL", key),
        "list": ("LRANGE", key, 0, -1),
        "set": ("SMEMBERS", key),
        "zset": ("ZRANGE", key, 0, -1, "WITHSCORES"),
        "stream": ("XRANGE", key, "-", "+"),
    }
    return redis.execute_command(*read[kind])


def rows(database_url: str) -> Iterator[Written]:
    """Every table of the public schema as text."""
    with psycopg.connect(database_url) as connection:
        for (table,) in connection.execute(TABLES).fetchall():
            found = connection.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.SQL(table)))
            yield f"the table {table}", "\n".join(text for (text,) in found).encode()


def command_lines(processes: Mapping[str, Popen[bytes]]) -> Iterator[Written]:
    """What a list of processes shows of these and their children."""
    for name, started in processes.items():
        with suppress(psutil.Error):
            process = psutil.Process(started.pid)
            for each in (process, *process.children(recursive=True)):
                yield f"the command line of {name}", "\n".join(each.cmdline()).encode()
