"""The simulator's page names what the simulator has."""

import re

from simulator.answers.catalogue import INDEX, PREMIUM
from simulator.answers.functions import FUNCTIONS
from simulator.faults import MIXED
from simulator.wire_faults import KINDS, NOTICE
from tests.docs.documents import ROOT, words

PAGE = "docs/simulator.md"
OPTIONS = re.compile(r"OPTIONS|RATIO")  # named as a group


def test_the_table_has_every_function_that_is_answered() -> None:
    rows = re.findall(r"^\| (`[A-Z][^|]+) \|", (ROOT / PAGE).read_text(), re.M)

    assert set(FUNCTIONS) == {name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)}


def test_the_page_names_every_premium_function() -> None:
    named = {name for name in (*PREMIUM, INDEX) if not OPTIONS.search(name)}

    assert named <= set(words(PAGE))


def test_the_page_names_every_kind_of_fault() -> None:
    assert {kind for kind in (*KINDS, *MIXED) if not kind.startswith(NOTICE)} <= set(words(PAGE))
