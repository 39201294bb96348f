"""The key that signs access tokens where none is given. Whoever read the source must not be able to sign one."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from common.errors import InvalidSettings
from common.process.settings import Settings
from common.process.signing_keys import DEVELOPMENT_SECRET, FILE, SAMPLE_SECRETS, kept_key

STORES = {"DATABASE_URL": "postgresql://h/d", "REDIS_URL": "redis://h"}
OPEN = ("0.0.0.0", "::", "192.0.2.7", "10.0.0.1", "fe80::1", "localhost.example.com", "127.0.0.1.example.com", "box")
LOCAL = ("", "127.0.0.1", "127.8.9.10", "::1", "localhost", "LOCALHOST")


def key_of(home: Path, host: str, *, environment: str = "development", **env: str) -> str:
    known = {**STORES, "QUOTEWELL_ENV": environment, "QUOTEWELL_HOME": str(home), "HOST": host}
    return Settings.from_env({**known, **env}, serves_tokens=True).jwt_secret


@pytest.mark.parametrize("environment", ["development", "testing"])
@pytest.mark.parametrize("host", OPEN)
def test_outside_of_loopback_the_key_is_drawn_and_kept_for_its_owner_alone(
    tmp_path: Path, host: str, environment: str
) -> None:
    home = tmp_path / "new" / "home"
    first, second = (key_of(home, host, environment=environment) for _ in range(2))

    assert first == second == (home / FILE).read_text()
    assert len(first) >= 32
    assert first != DEVELOPMENT_SECRET
    assert 0o600 == (home / FILE).stat().st_mode & 0o777
    assert [FILE] == [path.name for path in home.iterdir()]
    assert first != key_of(tmp_path / "another", host)


@pytest.mark.parametrize("host", LOCAL)
def test_on_loopback_the_known_key_is_enough_and_nothing_is_written(tmp_path: Path, host: str) -> None:
    assert DEVELOPMENT_SECRET == key_of(tmp_path, host)
    assert [] == list(tmp_path.iterdir())


def test_a_process_that_serves_no_tokens_draws_none(tmp_path: Path) -> None:
    env = {**STORES, "QUOTEWELL_ENV": "development", "QUOTEWELL_HOME": str(tmp_path), "HOST": "0.0.0.0"}

    assert "" == Settings.from_env(env).jwt_secret
    assert [] == list(tmp_path.iterdir())


def test_processes_that_start_at_once_sign_with_one_key(tmp_path: Path) -> None:
    starters = 16
    ready = Barrier(starters)

    def start(_: int) -> str:
        ready.wait()
        return kept_key(tmp_path)

    with ThreadPoolExecutor(starters) as pool:
        keys = set(pool.map(start, range(starters)))

    assert {(tmp_path / FILE).read_text()} == keys
    assert [FILE] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize("name", ["JWT_SECRET_KEY", "JWT_PREVIOUS_SECRET_KEY"])
@pytest.mark.parametrize("secret", sorted(SAMPLE_SECRETS | {DEVELOPMENT_SECRET}))
def test_a_known_key_that_is_given_is_refused_outside_of_loopback(tmp_path: Path, name: str, secret: str) -> None:
    with pytest.raises(InvalidSettings, match=f"^{name}: expected a secret of your own, not the sample's$"):
        key_of(tmp_path, "0.0.0.0", **{name: secret})

    key_of(tmp_path, "127.0.0.1", **{name: secret})


def test_a_key_of_ones_own_is_taken_and_none_is_drawn(tmp_path: Path) -> None:
    assert "k" * 32 == key_of(tmp_path, "0.0.0.0", JWT_SECRET_KEY="k" * 32)
    assert [] == list(tmp_path.iterdir())


def test_a_key_that_others_may_have_read_is_refused_in_a_sentence(tmp_path: Path) -> None:
    kept_key(tmp_path)
    for mode in (0o640, 0o604, 0o660):
        (tmp_path / FILE).chmod(mode)
        with pytest.raises(InvalidSettings, match=r"^QUOTEWELL_HOME: others may read or replace .*; delete it, and"):
            kept_key(tmp_path)


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 40])
def test_a_file_that_is_no_key_is_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    (tmp_path / FILE).chmod(0o600)

    with pytest.raises(InvalidSettings, match=r"^QUOTEWELL_HOME: .* is no key; delete it, and a new one is drawn$"):
        kept_key(tmp_path)


def test_where_no_key_can_be_kept_the_process_refuses_to_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "elsewhere").write_text("k" * 32)
    (tmp_path / "linked").mkdir()
    os.symlink(tmp_path / "elsewhere", tmp_path / "linked" / FILE)

    for home in (tmp_path / "file", Path("/proc/none"), tmp_path / "linked"):
        with pytest.raises(InvalidSettings, match=r"^JWT_SECRET_KEY: expected at least 32 bytes, or a QUOTEWELL_HOME"):
            key_of(home, "0.0.0.0")
