"""What the processes are started with: the Procfile's commands as lists of words, as an image takes them. It starts nothing."""

import re
import shlex

SIMULATOR = ["python", "-m", "simulator"]
MIGRATE = ["quotewell", "migrate"]  # what Compose and Kubernetes say for the Procfile's `release`
_FOR_THE_SHELL = re.compile(r"exec|[A-Z_]+=.*")


def commands(procfile: str) -> dict[str, list[str]]:
    """By process; without what only a shell reads before a command, `exec` and variables."""
    lines = (line.partition(":") for line in procfile.splitlines() if line.strip() and not line.startswith("#"))
    return {name: _bare(shlex.split(command)) for name, _, command in lines}


def _bare(words: list[str]) -> list[str]:
    return _bare(words[1:]) if words and _FOR_THE_SHELL.fullmatch(words[0]) else words
