"""schemathesis: 200 examples of each operation that the OpenAPI document names, as an operator and without a token."""

import asyncio
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.api.test_fuzz import EXCEPTIONS, SCHEMATHESIS
from tests.attack.judge import Answer
from tests.attack.target import LAX, LAX_LIMITS, Target, open_target

EXAMPLES = 200
RUN_TIMEOUT = 360  # seconds; a slow machine gets through fewer examples
END_TIMEOUT = 30  # seconds to write the report
CHECKS = "not_a_server_error,ignored_auth"  # tests/api/test_fuzz.py has all of them, with fewer examples


async def attack(target: Target) -> None:
    """On processes of their own, where no limit answers in place of a handler."""
    async with open_target(target.judge, "generated", LAX_LIMITS, LAX) as lax:
        operator = await lax.register_operator("generator")
        document = (await lax.request("GET", "/api/openapi.json")).body
        private = [(method, _pattern(path)) for method, path in _private(document)]
        await asyncio.gather(
            _run(lax, "as an operator", [], f"--header=Authorization: Bearer {operator.access}"),
            _run(lax, "without a token", private),
        )
        lax.note_growth()
        lax.read_logs()


def _private(document: Any) -> Iterator[tuple[str, str]]:
    """Methods and paths that need a token."""
    for path, item in document["paths"].items():
        yield from ((method.upper(), path) for method, each in item.items() if each.get("security"))


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)))


async def _run(target: Target, name: str, private: list[tuple[str, re.Pattern[str]]], *more: str) -> None:
    """One run. What it sent and got is judged, and so is a run that failed for another reason."""
    folder = target.stack.folder / name.replace(" ", "-")
    folder.mkdir()
    (folder / "schemathesis.toml").write_text(EXCEPTIONS)
    arguments = [
        f"{target.url}/api/openapi.json",
        "--phases=examples,coverage,fuzzing",
        f"--max-examples={EXAMPLES}",
        f"--checks={CHECKS}",
        "--generation-deterministic",
        "--continue-on-failure",
        "--warnings=off",
        "--no-color",
        "--no-shrink",
        "--workers=2",
        "--request-timeout=30",
        "--suppress-health-check=all",
        "--report=har",
        "--output-sanitize=false",
        "--report-har-path=report.har",
        *more,
    ]
    process = await asyncio.create_subprocess_exec(
        SCHEMATHESIS, "run", *arguments, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    written, is_whole = await _wait(process)
    if not is_whole:
        print(f"  schemathesis {name}: stopped after {RUN_TIMEOUT} s, so not every operation has its examples")
    found = target.judge.failed.total()
    for answer, request in _answers(folder / "report.har"):
        target.judge.count(answer)
        path = urlsplit(request["url"]).path
        is_private = any(request["method"] == method and pattern.fullmatch(path) for method, pattern in private)
        if is_private and (path.startswith("/api/ops/") or not _has_token(request)):
            target.judge.must_refuse(answer)
    if is_whole and process.returncode and found == target.judge.failed.total():
        target.judge.fail("status_500", f"schemathesis {name}: {written[-2000:]}")


async def _wait(process: asyncio.subprocess.Process) -> tuple[str, bool]:
    """What it wrote, and whether it ended by itself. Interrupted, it still writes its report."""
    reading = asyncio.create_task(process.communicate())
    done, _ = await asyncio.wait({reading}, timeout=RUN_TIMEOUT)
    if not done:
        process.send_signal(signal.SIGINT)
        done_later, _ = await asyncio.wait({reading}, timeout=END_TIMEOUT)
        if not done_later:
            process.kill()
    written, _ = await reading
    return written.decode(errors="replace"), bool(done)


def _has_token(request: Any) -> bool:
    """schemathesis registers an account of its own, and then sends its token."""
    return any(each["name"].lower() == "authorization" for each in request["headers"])


def _answers(report: Path) -> Iterator[tuple[Answer, Any]]:
    """Every answer, with its request."""
    for entry in json.loads(report.read_text())["log"]["entries"]:
        request, response = entry["request"], entry["response"]
        body = request.get("postData", {}).get("text", "")
        shown = f"{request['method']} {request['url']} {body}"
        yield Answer(shown, int(response["status"]), text=str(response["content"].get("text", ""))[:1000]), request
