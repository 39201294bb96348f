"""A version from one place, a changelog that knows it, licences of what is locked."""

import itertools
import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import common
from tests.docs.documents import ROOT, tokens

IMAGE = {"python_full_version": "3.13.0", "python_version": "3.13", "sys_platform": "linux", "platform_system": "Linux"}
ELSEWHERE = {  # who repeats the version, for no program can tell it to them
    "docker-compose.yml": r"image: quotewell:(\S+)",
    "Dockerfile": r"ARG VERSION=(\S+)",
    "deploy/k8s/overlays/development/kustomization.yaml": r"newTag: (\S+)",
    "deploy/k8s/overlays/production/kustomization.yaml": r"newTag: (\S+)",
    "deploy/k8s/README.md": r"quotewell:([\d.]+\d)",
}


def read(path: str) -> str:
    return (ROOT / path).read_text()


def test_the_version_is_told_once_and_repeated_alike() -> None:
    found = {path: set(re.findall(pattern, read(path), re.M)) for path, pattern in ELSEWHERE.items()}

    assert {path: {common.VERSION} for path in ELSEWHERE} == found
    assert {"attr": "common.VERSION"} == tomllib.loads(read("pyproject.toml"))["tool"]["setuptools"]["dynamic"][
        "version"
    ]


def test_the_changelog_tells_of_the_version() -> None:
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", read("CHANGELOG.md"), re.M)

    assert common.VERSION == released[0]


def test_no_process_asks_the_installer_for_what_is_installed() -> None:
    """Platforms that read requirements.txt install our dependencies, and not us."""
    sources = [
        path for room in ("api", "worker", "scheduler", "ops", "common", "db") for path in (ROOT / room).rglob("*.py")
    ]

    assert [] == [str(path) for path in sources if re.search(r"importlib.metadata|pkg_resources", path.read_text())]


def locked() -> set[tuple[str, str]]:
    """Names and versions of what the image installs."""
    lines = re.findall(r"^([a-z0-9].*==.*?)(?: \\)?$", read("requirements/production.txt"), re.M)
    needed = [each for each in map(Requirement, lines) if each.marker is None or each.marker.evaluate(IMAGE)]
    return {(canonicalize_name(each.name), str(each.specifier).removeprefix("==")) for each in needed}


def test_the_licence_of_each_package_of_production_is_listed() -> None:
    cells = [token.content for token in tokens("docs/licences.md") if token.type == "inline"]
    listed = {(canonicalize_name(name), version) for name, version in itertools.pairwise(cells)}

    assert len(locked()) > 40
    assert set() == locked() - listed
    assert "UNKNOWN" not in read("docs/licences.md")


def test_heroku_runs_the_python_that_the_image_has() -> None:
    assert f"python:{read('.python-version').strip()}-" in read("Dockerfile")
    assert f"python:{read('.python-version').strip()}-" in read("docker-compose.yml")
    assert read("requirements.txt").split() == ["-r", "requirements/production.txt"]
