"""The questions of `make deploy-check`, in the order of a deployment: build the image, look into it, run all of it, end it.

Needs root and Debian's podman, debootstrap and crun. The base image is kept in `~/.cache/quotewell`; the built one is removed.
"""

import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import socket
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psutil
import pytest
from tenacity import retry, stop_after_delay, wait_fixed

from common.process.embedded import stores
from common.process.servers import PORT
from deploy.check import contents, registry
from deploy.check.podman import BASE, CACHE, LIKE_A_PLATFORM, inspect, make_base, podman
from deploy.check.service import API_PROCESSES, COMMANDS, ENVIRONMENT, PORTS, ask, url
from tests.memory import roomy_folder

ROOT = Path(__file__).parents[2]
IMAGE = "localhost/quotewell:check"
REVISION = "as-checked"
# Docker's format, for OCI's has no health check
BUILD = (
    "--isolation=chroot", "--format=docker", "--pull=never", "--layers=false",
    f"--build-arg=BASE={BASE}", f"--build-arg=REVISION={REVISION}",
)  # fmt: skip
TOOLS = ("podman", "debootstrap", "crun")
PROCESSES = ("beat", "worker", "web", "simulator")  # in the order of their ends: calls in flight still have an answer
STOP_TIMEOUT = 25.0  # seconds, of the thirty that platforms give
ELSEWHERE = "127.0.0.2"  # the containers share this machine's network
ANSWERS = [
    ("PORT", "/api/health", r'200 .*"status": ?"healthy".*"environment": ?"production"'),
    ("PORT", "/", "200 .*<html"),
    ("PORT", "/api/stock/ORCL?wait=15", r'200 .*"price": ?[\d.]*[1-9].*"source": ?"simulated"'),
    # Nobody asked for this quote before: beat made a worker fetch it.
    ("PORT", "/api/stocks?symbols=NVDA", r'200 .*"quotes": ?\[\{'),
    # Parents answer for the processes that they forked: their files are in the one place that can be written to.
    ("METRICS_PORT", "/metrics", "200 .*quotewell_http_request_duration_seconds_count{"),
    ("WORKER_METRICS_PORT", "/metrics", "200 .*quotewell_provider_calls_total{"),
]
# Of `/proc/PID/status`: the image's user by every right, no privilege, no zombie
STATUS = [
    f"Uid:(\t{contents.USER}){{4}}\n", f"Gid:(\t{contents.USER}){{4}}\n",
    "CapEff:\t0+\n", "CapBnd:\t0+\n", "NoNewPrivs:\t1\n", "State:\t[^Z]",
]  # fmt: skip

Run = Callable[..., str]

module = pytest.fixture(scope="module")
eventually = retry(stop=stop_after_delay(40), wait=wait_fixed(0.2), reraise=True)


@pytest.fixture(scope="module", autouse=True)
def about(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Build the Dockerfile's image as IMAGE and return what Podman knows of it. One proof at a time."""
    if os.geteuid() or any(shutil.which(tool) is None for tool in TOOLS):
        pytest.exit("deploy-check needs root, and apt-get install podman debootstrap crun", returncode=2)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended, as on Ctrl-C
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "in-use.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: another proof is under way
        podman("rm", "--all", "--force", "--time=0")
        if not podman("images", "--quiet", f"--filter=reference={BASE}"):
            make_base()
        mounts = registry.mounts(registry.settings(), tmp_path_factory.mktemp("pip") / "pip.conf")
        podman("build", *BUILD, *(f"--volume={each}" for each in mounts), f"--tag={IMAGE}", str(ROOT))
        yield inspect(IMAGE)
        podman("rmi", "--force", IMAGE)


@module
def root(about: dict[str, Any]) -> Iterator[Path]:
    """The image's files, mounted."""
    image, base = (each["Size"] >> 20 for each in (about, inspect(BASE)))
    print(f"{image} MiB, {base} of them the base")
    yield Path(podman("image", "mount", IMAGE))
    podman("image", "umount", "--all")


@module
def files(root: Path) -> contents.Files:
    found = contents.read(root, Path(podman("image", "mount", BASE)))
    print(f"{len(found['added'])} files are ours")
    return found


@module
def service(request: pytest.FixtureRequest) -> Iterator[Run]:
    """A function that runs a command in the image: in the background if it has a name, else to its end. The stores are up."""
    with (
        tempfile.TemporaryDirectory(prefix="quotewell-image-", dir=roomy_folder()) as folder,
        stores(Path(folder), {"QUOTEWELL_ENV": "testing"}, throwaway=True) as urls,
    ):
        [postgres] = Path(folder).rglob(f".s.PGSQL.{PORT}")
        env = ENVIRONMENT | urls

        def run(*command: str, name: str = "", **more: str) -> str:
            how = ["--detach", f"--name={name}"] if name else ["--rm"]
            given = [f"--env={key}={value}" for key, value in {**env, **more}.items()]
            return podman("run", *how, *LIKE_A_PLATFORM, f"--volume={postgres}:{postgres}", *given, IMAGE, *command)

        yield run
        for name in podman("ps", "--all", "--format={{.Names}}").split():
            if request.session.testsfailed:
                print(f"--- {name}", podman("logs", name)[-3000:], sep="\n")
            podman("rm", "--force", "--time=0", name)


@module
def running(service: Run) -> Run:
    """The order of a first deployment, after the migrations. The API is what the image does by itself."""
    service("python", "-m", "simulator", name="simulator")
    service(name="web")
    for name in ("worker", "beat"):
        service(*COMMANDS[name], name=name)
    return service


@pytest.mark.parametrize("question", contents.NEVER)
def test_of_the_files(files: contents.Files, question: str) -> None:
    assert [] == contents.breaches(files, question)[:8]


def test_our_wheel_holds_our_packages_only(root: Path) -> None:
    assert [] == contents.beside_packages(root)


def test_the_image_has_no_trace_of_this_machines_registry(
    root: Path, files: contents.Files, about: dict[str, Any]
) -> None:
    traces = registry.traces(registry.settings())

    assert [] == [trace for trace in traces if trace in json.dumps(about)]
    assert {} == {trace: found for trace in traces if (found := contents.holding(root, files, trace))}


def test_labels_tell_the_revision(about: dict[str, Any]) -> None:
    assert REVISION == about["Config"]["Labels"]["org.opencontainers.image.revision"]


def test_the_image_sets_no_variable_but_the_four(about: dict[str, Any]) -> None:
    assert set() == contents.variables(about["Config"]["Env"], inspect(BASE)["Config"]["Env"])


def test_migrations_are_applied_once(service: Run) -> None:
    assert service(*COMMANDS["release"]).startswith("applied ")
    assert "nothing to apply" == service("quotewell", "migrate")  # as Compose and Kubernetes say it


def test_the_root_is_read_only(service: Run) -> None:
    """Else the other answers prove less than they say."""
    assert "Read-only file system" in service("sh", "-c", "! touch /opt/quotewell/x 2>&1")


@pytest.mark.parametrize(("port", "path", "pattern"), ANSWERS)
@pytest.mark.usefixtures("running")
@eventually
def test_the_service_answers(port: str, path: str, pattern: str) -> None:
    assert re.match(pattern, ask(port, path), re.DOTALL)


@pytest.mark.usefixtures("running")
def test_an_account_is_made() -> None:
    account = {"username": "ada", "email": "ada@example.com", "password": secrets.token_urlsafe(16)}

    assert re.match(r'201 .*"access_token": ?"\w', ask("PORT", "/api/auth/register", account))


@pytest.mark.usefixtures("running")
def test_the_api_is_reached_from_outside() -> None:
    """An API that listens on the loopback's own address alone would not be."""
    socket.create_connection((ELSEWHERE, int(PORTS["PORT"])), timeout=5).close()


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("name", PROCESSES)
def test_every_process_is_the_fixed_user_without_privileges_and_none_is_a_zombie(name: str) -> None:
    first = psutil.Process(int(podman("inspect", "--format={{.State.Pid}}", name)))
    processes = [first, *first.children(recursive=True)]

    for process in processes:
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert [] == [pattern for pattern in STATUS if not re.search(pattern, status)], status
    assert name != "web" or len(processes) == 1 + API_PROCESSES


def test_the_health_check_tells_serving_from_not_serving(running: Run, about: dict[str, Any]) -> None:
    running("sleep", "60", name="closed", PORT="9")
    kind, *command = about["Healthcheck"]["Test"]

    assert "CMD" == kind  # without a shell
    podman("exec", "web", *command)
    with pytest.raises(AssertionError, match="Connection refused"):
        podman("exec", "closed", *command)


@pytest.mark.usefixtures("running")
def test_no_call_is_over_the_limit() -> None:
    """The simulator counts the calls itself."""
    assert re.match(r'200 (?=.*"total": ?[1-9]).*"over_limit": ?0\b', ask("SIMULATOR_PORT", "/_calls"), re.DOTALL)


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("name", PROCESSES)
def test_each_process_ends_in_good_order_on_the_stop_signal(name: str) -> None:
    """The API while a client listens to its stream."""
    with urllib.request.urlopen(url("PORT", "/api/stream?symbols=AAPL")) if name == "web" else nullcontext() as stream:
        begun = time.monotonic()
        podman("stop", "--time=40", name)
        took = time.monotonic() - begun
        assert stream is None or b"retry" in stream.read()  # to its end

    assert "0" == podman("inspect", "--format={{.State.ExitCode}}", name)
    assert took < STOP_TIMEOUT
    assert "Traceback" not in podman("logs", name)
