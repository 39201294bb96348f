"""Every process of the service from one image, on real stores that are thrown away: how they are started, reached and ended."""

import json
import secrets
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from common.process.ports import free_port
from common.process.servers import PORT, Postgres, Redis, poll
from deploy.check.buildah import Failed
from deploy.check.commands import SIMULATOR, commands
from deploy.check.container import Container, Image

T = TypeVar("T")
SOCKETS = "/run/stores"  # where the containers find PostgreSQL's socket
API_PROCESSES = 2
LIMITS = "1000/4s,50/1s"


@dataclass
class Service:
    """The image with its stores, the Procfile's commands, and what was started, by name."""

    image: Image
    commands: dict[str, list[str]]
    env: dict[str, str]
    ports: dict[str, int]
    running: dict[str, Container] = field(default_factory=dict)

    def start(self, name: str, command: list[str], **env: str) -> Container:
        self.running[name] = Container(self.image, name, command, {**self.env, **env})
        return self.running[name]

    def start_all(self) -> None:
        """The order of a first deployment, without migrations. The API is what the image does by itself."""
        self.start("simulator", SIMULATOR)
        self.start("web", self.image.config["Cmd"])
        self.start("worker", self.commands["worker"])
        self.start("beat", self.commands["beat"])

    def url(self, name: str, path: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}{path}"

    def get(self, path: str, *, of: str = "web") -> tuple[int, Any]:
        """Status and body; JSON is parsed."""
        return _ask(urllib.request.Request(self.url(of, path)))

    def post(self, path: str, body: dict[str, str]) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json"}
        return _ask(urllib.request.Request(self.url("web", path), json.dumps(body).encode(), headers))

    def eventually(self, condition: Callable[[], T], *, within: float, what: str) -> T:
        """The first true value; a container that ended or a deadline that passed fails, with the logs."""
        found: list[T] = []

        def met() -> bool:
            for container in self.running.values():
                if not container.running:
                    raise Failed(f"{container.name} ended while waiting for {what}:\n{container.log[-3000:]}")
            try:
                found.append(condition())
            except (OSError, ValueError):
                return False
            return bool(found[-1])

        if not poll(met, within):
            logs = "\n".join(f"--- {each.name}\n{each.log[-1500:]}" for each in self.running.values())
            raise Failed(f"not within {within:g} s: {what}; last seen {found[-1:]}\n{logs}")
        return found[-1]


@contextmanager
def open_service(root: Path, config: dict[str, Any], procfile: str) -> Iterator[Service]:
    """Stores are up, nothing else; at the end all that was started is gone."""
    with tempfile.TemporaryDirectory(prefix="quotewell-image-") as name:
        folder = Path(name)
        postgres, redis = Postgres(folder, throwaway=True), Redis(folder, throwaway=True)
        running: dict[str, Container] = {}
        try:
            postgres.start()
            redis.start()
            file = f".s.PGSQL.{PORT}"
            binds = {f"{SOCKETS}/{file}": str(postgres.sockets / file)}
            ports = {each: free_port() for each in ("web", "simulator", "metrics", "worker-metrics")}
            image = Image(root, config, folder, binds)
            yield Service(image, commands(procfile), _environment(redis.url(), ports), ports, running)
        finally:
            for container in running.values():
                container.kill()
            redis.stop()
            postgres.stop()


def _environment(redis_url: str, ports: dict[str, int]) -> dict[str, str]:
    """Production, with the simulator in the provider's place."""
    return {
        "DATABASE_URL": f"postgresql://postgres@/quotewell?host={SOCKETS}&port={PORT}",
        "REDIS_URL": redis_url,
        "JWT_SECRET_KEY": secrets.token_urlsafe(32),
        "ALPHA_VANTAGE_BASE_URL": f"http://127.0.0.1:{ports['simulator']}",
        "PROVIDER_LIMITS": LIMITS,
        "PORT": str(ports["web"]),
        "SIMULATOR_PORT": str(ports["simulator"]),
        "METRICS_PORT": str(ports["metrics"]),
        "WORKER_METRICS_PORT": str(ports["worker-metrics"]),
        "WEB_CONCURRENCY": str(API_PROCESSES),
    }


def _ask(request: urllib.request.Request) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, _body(answer.read())
    except urllib.error.HTTPError as refusal:
        return refusal.code, _body(refusal.read())


def _body(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.decode(errors="replace")
