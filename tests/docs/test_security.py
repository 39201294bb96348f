"""docs/security.md: each point of the ASVS has an answer, the summary counts them, and the groups of attacks are those that run."""

import re
from collections import Counter

from tests.attack.__main__ import GROUPS
from tests.attack.judge import MAX_RSS_GROWTH, Judge
from tests.docs.documents import ROOT

TEXT = (ROOT / "docs/security.md").read_text()
POINTS = re.findall(r"^\| (\d+\.\d+\.\d+) \| (yes|no|n/a) \| (\S.*?) \|$", TEXT, re.M)


def test_each_point_stands_once_with_an_answer_and_a_reason() -> None:
    numbers = re.findall(r"^\| (\d+\.\d+\.\d+) \|", TEXT, re.M)

    assert numbers == [number for number, _, _ in POINTS]
    assert numbers == sorted(set(numbers), key=lambda number: [*map(int, number.split("."))])


def test_the_summary_counts_the_points() -> None:
    answers = Counter(answer for _, answer, _ in POINTS)
    counted = f"{len(POINTS)} points, {answers['yes']} yes, {answers['no']} no, {answers['n/a']} n/a"

    assert counted in TEXT


def test_the_groups_of_attacks_and_the_verdict_are_those_that_run() -> None:
    described = TEXT.partition("## How it is tried")[2].partition("## ASVS")[0]
    verdict = re.search(r"^\{.*\}$", described, re.M)

    assert list(GROUPS) == re.findall(r"^\| `(\w+)` \|", described, re.M)
    assert verdict is not None
    assert list(Judge().as_json()) == re.findall(r'"(\w+)":', verdict[0])
    assert f"more than {MAX_RSS_GROWTH:g} MiB" in described
