"""The rooms of the simulator import downwards only: the server its answers, the answers their market."""

from collections.abc import Iterator

import pytest

from tests.test_architecture import imports, modules, within

ROOMS = ("simulator.market", "simulator.answers", "simulator")  # from below


def room_of(module: str) -> int:
    return next(floor for floor, room in enumerate(ROOMS) if within(module, room))


def upward_imports(module: str, imported: Iterator[str]) -> list[str]:
    within_simulator = (name for name in imported if name.startswith("simulator."))
    return [name for name in within_simulator if room_of(name) > room_of(module)]


def test_no_module_imports_a_room_above_its_own() -> None:
    ours = {name: tree for name, tree in modules().items() if within(name, "simulator")}

    assert {0, 1, 2} == {room_of(name) for name in ours}
    assert [] == [(name, upward) for name, tree in ours.items() for upward in upward_imports(name, imports(tree))]


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("simulator.market.prices", "simulator.answers.query"),
        ("simulator.market.prices", "simulator.config"),
        ("simulator.answers.query", "simulator.app"),
    ],
)
def test_an_upward_import_is_found(module: str, imported: str) -> None:
    assert [imported] == upward_imports(module, iter([imported]))
