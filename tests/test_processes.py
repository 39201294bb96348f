"""How the tests are shared out among processes of pytest (tests/conftest.py)."""

import pytest
from xdist import newhooks  # type: ignore[import-untyped]

from tests import conftest


@pytest.mark.parametrize(
    ("nodeid", "scope"),
    [
        ("tests/core/test_limits.py::test_a_limit", "tests/core/test_limits.py"),
        ("tests/api/quotes/test_misses.py::test_a_path[a@b::c]", "tests/api/quotes/test_misses.py"),
        ("tests/test_readme.py::test_it", "tests/test_readme.py"),
        ("tests/faults/test_scenarios.py::test_it_survives[redis is killed]", "faults"),
        ("tests/e2e/test_logs.py::test_one_id", "faults"),
    ],
)
def test_a_file_is_not_divided_and_what_looks_at_the_time_runs_in_one_process(nodeid: str, scope: str) -> None:
    assert scope == conftest.scope_of(nodeid)


def test_xdist_has_the_hooks_that_say_so() -> None:
    """They are optional, so that the tests run without xdist; renamed ones would go unnoticed."""
    hooks = ("pytest_xdist_make_scheduler", "pytest_xdist_auto_num_workers")

    assert [] == [name for name in hooks if not (hasattr(newhooks, name) and hasattr(conftest, name))]
