"""Each command in a document exists, with the options that it is given; each shell block is one."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from ops.cli import app
from tests.docs.documents import ROOT, blocks, documents, words

EVERY = pytest.mark.parametrize("document", documents())
COMMAND = re.compile(r"(?:\w+=\S* )*(?:\S*/bin/)?(quotewell|make|python3?(?= -m)) ([^`<>)]*)")
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
NAMED_ONLY = ("MissingParameter", "NoArgsIsHelpError", "Exit")  # prose names a command without what it needs
GROUP = typer.main.get_command(app)


def lines(document: str) -> Iterator[str]:
    """All that may be typed: shell blocks with their continued lines joined, and code within a line."""
    for block in blocks(document):
        for line in block.replace("\\\n", " ").splitlines():
            yield re.sub(r"(^|\s)#.*", "", line)
    yield from words(document)


def commands(document: str) -> list[tuple[str, list[str]]]:
    """Programs of ours at the head of a command, and what they are given."""
    heads = (part.strip() for line in lines(document) for part in re.split(r"&&|[|;]|\$\(|^\$ | -- ", line))
    found = [match for head in heads if (match := COMMAND.match(head))]
    return [(match[1], shlex.split(match[2].replace("...", ""))) for match in found]


def parse(command: Any, name: str, arguments: list[str]) -> None:
    """Take the arguments as the command line does, without doing it; raise what it would say."""
    context = command.make_context(name, list(arguments))
    rest = [*getattr(context, "_protected_args", []), *context.args] if hasattr(command, "resolve_command") else []
    if rest:
        sub, found, left = command.resolve_command(context, rest)
        parse(found, str(sub), left)


def wrong(program: str, arguments: list[str]) -> str | None:
    """What a reader who types it would be told; None if it is well."""
    if program == "make":
        targets = [word for word in arguments if "=" not in word and not word.endswith("-*")]
        return next((f"make has no {target}" for target in targets if target not in TARGETS), None)
    if program == "quotewell":
        try:
            parse(GROUP, program, arguments)
        except Exception as error:
            return None if type(error).__name__ in NAMED_ONLY else f"quotewell {' '.join(arguments)}: {error}"
        return None
    return None if importable(arguments[1]) else f"python -m {arguments[1]}"


def importable(module: str) -> bool:
    """A module of ours, or one that comes with the environment."""
    path = ROOT.joinpath(*module.split("."))
    return path.with_suffix(".py").exists() or (path / "__main__.py").exists() or module in ("venv", "pytest", "pip")


@EVERY
def test_each_command_is_one_with_its_options(document: str) -> None:
    assert [] == [told for program, arguments in commands(document) if (told := wrong(program, arguments))]


@EVERY
def test_each_shell_block_can_be_read_by_a_shell(document: str) -> None:
    for block in blocks(document):
        done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
        assert "" == done.stderr


def test_commands_are_found_and_judged() -> None:
    known = commands("docs/runbook.md")

    assert ("quotewell", ["budget", "hold", "--for", "24h"]) in known
    assert wrong("quotewell", ["budget", "hold", "--four", "24h"])
    assert wrong("quotewell", ["no-such-command"])
    assert wrong("make", ["no-such-target"])
    assert wrong("python", ["-m", "no.such.module"])
