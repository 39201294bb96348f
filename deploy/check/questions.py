"""What is asked of the running service, and of its end. Each question yields what is wrong, in words; it starts and builds nothing."""

import secrets
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deploy.check.contents import USER
from deploy.check.service import API_PROCESSES, Service

IN_GOOD_TIME = 25.0  # seconds, of the thirty that platforms give
ORDER = ("beat", "worker", "web", "simulator")  # the simulator last: calls in flight end well
MEASURED = {
    "metrics": "quotewell_http_request_duration_seconds_count{",
    "worker-metrics": "quotewell_provider_calls_total{",
}
ELSEWHERE = "127.0.0.2"  # the container shares this machine's network
PROBE = "open('/opt/quotewell/x', 'w')"
ACCOUNT = {"username": "ada", "email": "ada@example.com", "password": secrets.token_urlsafe(16)}


def answers(service: Service) -> Iterator[str]:
    """Health, a first quote, an account, the page, and that beat's ticks reach a worker."""
    health = service.eventually(lambda: service.get("/api/health"), within=40, what="the API answers")
    if (200, "healthy", "production") != (health[0], health[1]["status"], health[1]["environment"]):
        yield f"health: {health}"
    quote = service.eventually(partial(_quote, service), within=40, what="a quote is served") or {}
    if quote["source"] != "simulated" or not float(quote["price"]) > 0:
        yield f"a quote: {quote}"
    status, account = service.post("/api/auth/register", ACCOUNT)
    if status != 201 or not account["access_token"]:
        yield f"register: {status} {account}"
    status, page = service.get("/")
    if status != 200 or "<html" not in page:
        yield f"the page: {status}"
    service.eventually(
        partial(_refreshed, service), within=40, what="beat's ticks make a worker fetch the pinned symbols"
    )


def reached(service: Service) -> Iterator[str]:
    """By whoever is outside of the container: an API that listens on the loopback's own address alone would not be."""
    try:
        socket.create_connection((ELSEWHERE, service.ports["web"]), timeout=5).close()
    except OSError as error:
        yield f"{ELSEWHERE}: {error}"


def metrics(service: Service) -> Iterator[str]:
    """Both parents answer for the processes that they forked: their files are in the one place that can be written to."""
    for port, name in MEASURED.items():
        status, text = service.get("/metrics", of=port)
        if status != 200 or name not in text:
            yield f"{port}: {status}, and no {name}"


def processes(service: Service) -> Iterator[str]:
    """Every process is the fixed user without any privilege, and none is left unreaped."""
    for name, container in service.running.items():
        family = container.family()
        for process in family:
            status = _status(process.pid)
            if [str(USER)] * 4 != status["Uid"].split() or [str(USER)] * 4 != status["Gid"].split():
                yield f"{name}: a process of user {status['Uid']}, group {status['Gid']}"
            if int(status["CapEff"], 16) or int(status["CapBnd"], 16) or status["NoNewPrivs"] != "1":
                yield f"{name}: a process with privileges"
            if status["State"].startswith("Z"):
                yield f"{name}: a zombie"
        if name == "web" and len(family) != 1 + API_PROCESSES:
            yield f"web: {len(family)} processes, expected {1 + API_PROCESSES}"


def health_check(service: Service) -> Iterator[str]:
    """The image's own check tells a serving container from one that does not serve."""
    kind, *command = service.image.config["Healthcheck"]["Test"]
    if kind != "CMD":
        yield f"expected a command without a shell, not {kind}"
    if code := service.running["web"].execute(command):
        yield f"of a serving API: exit code {code}"
    other = service.start("closed", ["sleep", "60"], PORT="9")
    service.eventually(other.family, within=10, what="a container that serves nothing")
    if not other.execute(command):
        yield "of a container that serves nothing: 0"
    service.running.pop("closed").kill()


def read_only(service: Service) -> Iterator[str]:
    """That the proof itself is one: the root really cannot be written to."""
    probe = service.start("probe", ["python", "-c", PROBE])
    if not probe.wait(20) or "Read-only file system" not in probe.log:
        yield probe.log
    service.running.pop("probe")


def ends(service: Service) -> Iterator[tuple[str, float, list[str]]]:
    """Stop one after the other: name, seconds, and what was wrong. The API is stopped while a client listens to its stream."""
    with _listening(service) as listener:
        for name in ORDER:
            code, seconds = service.running[name].stop()
            log = service.running.pop(name).log
            wrong = [f"exit code {code}"] if code else []
            wrong += ["too late"] if seconds > IN_GOOD_TIME else []
            wrong += [f"a traceback:\n{log[-3000:]}"] if "Traceback" in log else []
            wrong += ["the stream was not ended"] if name == "web" and not _over(listener) else []
            yield name, seconds, wrong


def over_limit(service: Service) -> Iterator[str]:
    """The simulator counted the calls itself."""
    status, calls = service.get("/_calls", of="simulator")
    if status != 200 or not calls["total"] or calls["over_limit"]:
        yield f"{calls['total']} calls, {calls['over_limit']} of them over the limit"


def _quote(service: Service) -> dict[str, Any] | None:
    status, quote = service.get("/api/stock/ORCL?wait=15")
    return quote if status == 200 else None


def _refreshed(service: Service) -> bool:
    """Nobody asked for it: only beat and a worker fetch it."""
    status, text = service.get("/api/stocks?symbols=NVDA")
    return status == 200 and bool(text["quotes"])


def _listening(service: Service) -> socket.socket:
    """A client of the stream that has its first bytes."""
    where = urlsplit(service.url("web", "/api/stream?symbols=AAPL"))
    listener = socket.create_connection((where.hostname, where.port), timeout=IN_GOOD_TIME)
    listener.sendall(f"GET {where.path}?{where.query} HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n".encode())
    if not listener.recv(4096).startswith(b"HTTP/1.1 200"):
        raise OSError("expected a stream that begins")
    return listener


def _over(listener: socket.socket) -> bool:
    """Whether the other side closed it; what was sent before is read first."""
    try:
        while listener.recv(65536):
            pass
    except OSError:
        return False
    return True


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
