"""docker-compose.yml as Compose reads it: anchors resolved, and variables where a test asks for them. It runs nothing."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[2]
PATH = ROOT / "docker-compose.yml"
_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Z_]+)(?:(?P<sign>:[-+])(?P<text>[^}]*))?\})")

Service = dict[str, Any]


@cache
def compose() -> dict[str, Any]:
    """The whole file, its variables as they are written."""
    read: dict[str, Any] = yaml.safe_load(PATH.read_text())
    return read


def services() -> dict[str, Service]:
    read: dict[str, Service] = compose()["services"]
    return read


def ours() -> dict[str, Service]:
    """The services that run our code, all from one image; the one that draws secrets runs a shell alone."""
    return {
        name: service
        for name, service in services().items()
        if service["image"].startswith("quotewell:") and name != "secrets"
    }


def fill(text: str, shell: Mapping[str, str]) -> str:
    """Put a shell's variables (or those of `.env`) in."""

    def value(found: re.Match[str]) -> str:
        if found["dollar"]:
            return "$"
        held = shell.get(found["name"], "")
        if found["sign"] == ":+":
            return found["text"] if held else ""
        return held or found["text"] or ""

    return _VARIABLE.sub(value, text)


def environment(service: Service, shell: Mapping[str, str]) -> dict[str, str]:
    """What a container is given: what has no value here is handed on if it is set."""
    declared: dict[str, str | None] = service.get("environment", {})
    given = {name: shell.get(name) if text is None else fill(text, shell) for name, text in declared.items()}
    return {name: text for name, text in given.items() if text is not None}


def command(words: list[str], *, last: list[str] | None = None) -> list[str]:
    """A command as the container's kernel gets it; `last` takes the place of as many words at its end."""
    filled = [fill(word, {}) for word in words]
    return filled if last is None else [*filled[: len(filled) - len(last)], *last]
