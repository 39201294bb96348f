"""The hooks of .pre-commit-config.yaml run what `make check` runs, from the virtual environment and without a network."""

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[1]
BIN = ".venv/bin/"
CHECKS = re.search(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)


def repositories() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    return found


def commands() -> list[list[str]]:
    return [shlex.split(hook["entry"]) for repository in repositories() for hook in repository["hooks"]]


def test_no_hook_is_downloaded() -> None:
    hooks = [hook for repository in repositories() for hook in repository["hooks"]]

    assert {"local"} == {repository["repo"] for repository in repositories()}
    assert {"system"} == {hook["language"] for hook in hooks}


def test_each_hook_names_a_program_and_a_file_that_exist() -> None:
    for program, *arguments in commands():
        assert program.startswith(BIN)
        assert (Path(sys.executable).parent / program.removeprefix(BIN)).exists()
        assert [] == [word for word in arguments if "/" in word and not (ROOT / word).exists()]


def test_each_tool_runs_as_in_make_check() -> None:
    assert CHECKS is not None
    checks = CHECKS[1].replace("$(BIN)/", BIN)

    tools = [" ".join(command) for command in commands() if "pytest" not in command]
    assert [] == [tool for tool in tools if tool not in checks]
