"""How this machine's pip reaches packages, handed to a build as mounts that end with it. Nothing of it may stay in an image."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from configparser import RawConfigParser
from pathlib import Path

LOCATIONS = ("index-url", "extra-index-url", "find-links", "proxy", "trusted-host")

Settings = dict[str, str]


def settings() -> Settings:
    """All settings of pip here; those of the environment come last, and win."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    pairs = [line.partition("=") for line in sorted(lines, key=lambda line: line.startswith(":env:"))]
    return {name.rpartition(".")[2]: ast.literal_eval(value) for name, _, value in pairs}


def traces(found: Settings) -> set[str]:
    """Texts that name this machine's surroundings."""
    return {word for name in LOCATIONS for word in found.get(name, "").split()}


def mounts(found: Settings, file: Path) -> set[str]:
    """Volumes for a build: a pip.conf, written to `file`, and every local path that it names."""
    parser = RawConfigParser()
    parser["global"] = found
    file.touch(mode=0o600)  # an index's URL may hold a password
    with file.open("w") as text:
        parser.write(text)
    return {f"{file}:/etc/pip.conf:ro", *(f"{path}:{path}:ro" for path in _local_paths(found))}


def _local_paths(found: Settings) -> Iterator[Path]:
    for name, value in found.items():
        for path in (Path(word.removeprefix("file://")) for word in value.split()):
            if path.is_absolute() and path.exists():
                # pages of an index in a folder link to files beside it
                yield path.parent if name.endswith("index-url") else path
