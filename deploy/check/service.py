"""What the processes of the service are started with, and how to ask them. It starts nothing."""

import json
import secrets
import shlex
import urllib.request
from pathlib import Path

from honcho.environ import parse_procfile

from common.process.ports import free_port

ROOT = Path(__file__).parents[2]
ENTRIES: dict[str, str] = parse_procfile((ROOT / "Procfile").read_text()).processes
COMMANDS = {name: shlex.split(entry.removeprefix("exec ")) for name, entry in ENTRIES.items()}
PORTS = {name: str(free_port()) for name in ("PORT", "SIMULATOR_PORT", "METRICS_PORT", "WORKER_METRICS_PORT")}
API_PROCESSES = 2
ENVIRONMENT = PORTS | {
    "JWT_SECRET_KEY": secrets.token_urlsafe(32),
    "ALPHA_VANTAGE_BASE_URL": f"http://127.0.0.1:{PORTS['SIMULATOR_PORT']}",
    "PROVIDER_LIMITS": "1000/4s,50/1s",
    "WEB_CONCURRENCY": str(API_PROCESSES),
}


def url(port: str, path: str) -> str:
    return f"http://127.0.0.1:{PORTS[port]}{path}"


def ask(port: str, path: str, body: object = None) -> str:
    """Status and body of an answer, to POST if there is a body; OSError for a refusal."""
    content = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url(port, path), content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return f"{answer.status} {answer.read().decode()}"
