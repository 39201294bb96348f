"""The events that the code logs are those that docs/logs-and-metrics.md lists, found in the syntax tree."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.metrics.exposition import ROOT

PACKAGES = ("api", "worker", "scheduler", "ops", "simulator", "db", "common")
EVENT = re.compile(r"[a-z]+(_[a-z]+)*")
LOGGER = re.compile(r"(log|.*get_logger\(.*\))\.(info|warning|error|exception|critical)")
LOGS = {"note", "record", "log_at_level"}  # acts, and a logger whose level was chosen
ROW = re.compile(r"^\| `([a-z_]+)` \| (?:info|warning|error|`user`|`actor`)", re.M)


def documented() -> list[str]:
    text = (ROOT / "docs/logs-and-metrics.md").read_text()
    return ROW.findall(text.partition("## Logs")[2])


def logged(tree: ast.AST) -> Iterator[str]:
    """Texts that a call gives as an event; of a choice between two both."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and not any(keyword.arg == "up" for keyword in node.keywords):
            target = ast.unparse(node.func)
            if LOGGER.fullmatch(target):
                yield from events(node.args[:1])
            elif target.rpartition(".")[2] in LOGS:
                yield from events(node.args)


def events(arguments: list[ast.expr]) -> Iterator[str]:
    for argument in arguments:
        for node in (argument.body, argument.orelse) if isinstance(argument, ast.IfExp) else (argument,):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and EVENT.fullmatch(node.value):
                yield node.value


def in_the_code() -> set[str]:
    paths = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {event for path in paths for event in logged(ast.parse(path.read_text()))}


def test_each_event_is_documented_once_and_no_other() -> None:
    rows = documented()

    assert sorted(in_the_code()) == sorted(rows)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("log.info('quote_refreshed', symbol='IBM')", ["quote_refreshed"]),
        ("structlog.get_logger(__name__).warning('lost', what='redis')", ["lost"]),
        ("log_at_level('call_refused', call=1)", ["call_refused"]),
        ("await note(held, 'calls_held', by=by)", ["calls_held"]),
        (
            "await note(held, request, 'logged_out_everywhere' if x else 'logged_out')",
            ["logged_out_everywhere", "logged_out"],
        ),
        ("health.note('redis', up=False)", []),
        ("log.info(event, user=1)", []),
        ("errors.append('lost')", []),
        ("redis.info('server')", []),
    ],
)
def test_events_are_found_wherever_they_are_told(text: str, found: list[str]) -> None:
    assert found == list(logged(ast.parse(f"async def f():\n    {text}")))
