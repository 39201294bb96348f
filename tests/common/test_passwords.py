"""Refusing a login without a check: it must take as long as a check, and cost nothing."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from common import passwords as module
from common.errors import Overloaded
from common.passwords import Passwords


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    opened = Passwords(cost=4)
    yield opened
    opened.close()


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The hashes that were compared."""
    found: list[bytes] = []

    def note(_: bytes, hashed: bytes) -> bool:
        found.append(hashed)
        time.sleep(0.05)  # what a check takes
        return False

    monkeypatch.setattr("bcrypt.checkpw", note)
    return found


async def test_what_pretends_to_check_takes_as_long_as_a_check_and_compares_nothing(
    passwords: Passwords, checked: list[bytes]
) -> None:
    await passwords.matches("a password", None)
    began = time.monotonic()
    for _ in range(3):
        await passwords.pretend()

    assert 1 == len(checked)
    assert time.monotonic() - began >= 3 * 0.05


async def test_once_a_minute_a_check_is_made_to_learn_its_time(
    passwords: Passwords, checked: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    await passwords.pretend()
    await passwords.pretend()
    assert 1 == len(checked)
    monkeypatch.setattr(module, "TIMES_TTL", 0.0)
    await passwords.pretend()

    assert 2 == len(checked)


async def test_where_a_check_would_find_no_room_the_pretence_finds_none_either(
    passwords: Passwords, checked: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    await passwords.matches("a password", None)
    monkeypatch.setattr(module, "MAX_HASHES", 1)
    busy = asyncio.create_task(passwords.matches("a password", None))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await passwords.pretend()

    assert await busy is False
