"""How this machine's pip reaches packages, handed to a build as mounts that end with it. Nothing of it may stay in an image."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from configparser import RawConfigParser
from pathlib import Path

from deploy.check.buildah import Failed

TRACES = (
    "index-url",
    "extra-index-url",
    "find-links",
    "proxy",
    "trusted-host",
)  # they name this machine's surroundings
Configuration = dict[tuple[str, str], str]


def configuration() -> Configuration:
    """Section and name to value, as pip here sees it; what the environment says comes last, and wins."""
    done = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"pip config list: {done.stderr.strip()}")
    found: Configuration = {}
    for line in sorted(done.stdout.splitlines(), key=lambda line: line.startswith(":env:")):
        where, _, value = line.partition("=")
        section, _, name = where.rpartition(".")
        found["global" if section == ":env:" else section, name] = ast.literal_eval(value)
    return found


def mounts(settings: Configuration, file: Path) -> list[str]:
    """Volumes for `buildah build`: a pip.conf, written to `file`, and every local path that it names."""
    parser = RawConfigParser()
    for (section, name), value in settings.items():
        if not parser.has_section(section):
            parser.add_section(section)
        parser.set(section, name, value)
    file.touch(mode=0o600)  # an index's URL may hold a password
    with file.open("w") as text:
        parser.write(text)
    return [f"{file}:/etc/pip.conf:ro", *(f"{path}:{path}:ro" for path in sorted(set(_paths(settings))))]


def traces(settings: Configuration) -> list[str]:
    """Texts that would show in an image that any of it was left there."""
    return sorted({word for (_, name), value in settings.items() if name in TRACES for word in value.split()})


def _paths(settings: Configuration) -> Iterator[str]:
    for (_, name), value in settings.items():
        for word in value.split():
            path = Path(word.removeprefix("file://"))
            if path.is_absolute() and path.exists():
                # pages of an index in a folder link to files beside it
                yield str(path.parent if name.endswith("index-url") else path)
