"""Every command in a document exists and accepts its options; every shell block parses."""

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
INCOMPLETE = ("MissingParameter", "NoArgsIsHelpError", "Exit")  # prose may name a command without its arguments
GROUP = typer.main.get_command(app)


def lines(document: str) -> Iterator[str]:
    """Lines of shell blocks, with continued lines joined, and inline code."""
    for block in blocks(document):
        for line in block.replace("\\\n", " ").splitlines():
            yield re.sub(r"(^|\s)#.*", "", line)
    yield from words(document)


def commands(document: str) -> list[tuple[str, list[str]]]:
    """The commands that start one of our programs: its name and its arguments."""
    heads = (part.strip() for line in lines(document) for part in re.split(r"&&|[|;]|\$\(|^\$ | -- ", line))
    found = [match for head in heads if (match := COMMAND.match(head))]
    return [(match[1], shlex.split(match[2].replace("...", ""))) for match in found]


def parse(command: Any, name: str, arguments: list[str]) -> None:
    """Parse the arguments as the command line does, without running it; raise its error."""
    context = command.make_context(name, list(arguments))
    rest = [*getattr(context, "_protected_args", []), *context.args] if hasattr(command, "resolve_command") else []
    if rest:
        sub, found, left = command.resolve_command(context, rest)
        parse(found, str(sub), left)


def problem(program: str, arguments: list[str]) -> str | None:
    """The error that a reader would get; None if there is none."""
    if program == "make":
        targets = [word for word in arguments if "=" not in word and not word.endswith("-*")]
        return next((f"make has no {target}" for target in targets if target not in TARGETS), None)
    if program == "quotewell":
        try:
            parse(GROUP, program, arguments)
        except Exception as error:
            return None if type(error).__name__ in INCOMPLETE else f"quotewell {' '.join(arguments)}: {error}"
        return None
    return None if importable(arguments[1]) else f"python -m {arguments[1]}"


def importable(module: str) -> bool:
    """Whether it is one of our modules, or comes with the environment."""
    path = ROOT.joinpath(*module.split("."))
    return path.with_suffix(".py").exists() or (path / "__main__.py").exists() or module in ("venv", "pytest", "pip")


@EVERY
def test_each_command_exists_and_accepts_its_options(document: str) -> None:
    assert [] == [found for program, arguments in commands(document) if (found := problem(program, arguments))]


@EVERY
def test_each_shell_block_can_be_read_by_a_shell(document: str) -> None:
    for block in blocks(document):
        done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
        assert "" == done.stderr


def test_commands_are_found_and_judged() -> None:
    known = commands("docs/runbook.md")

    assert ("quotewell", ["budget", "hold", "--for", "24h"]) in known
    assert problem("quotewell", ["budget", "hold", "--four", "24h"])
    assert problem("quotewell", ["no-such-command"])
    assert problem("make", ["no-such-target"])
    assert problem("python", ["-m", "no.such.module"])
