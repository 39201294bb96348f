"""A database of its own for each test: these tests change the schema."""

from collections.abc import Callable

import pytest


@pytest.fixture
def database_url(new_database: Callable[[], str]) -> str:
    return new_database()
