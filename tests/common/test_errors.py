"""The tree in the docstring of common/errors.py is the tree of its classes."""

import re
from collections.abc import Iterator

from common import errors
from common.errors import QuotewellError

LINE = re.compile(r"^(?P<indent>[│├└─ ]*)(?P<name>[A-Z]\w+)(?: {2,}.*?\b(?P<status>\d{3}) (?P<code>\w+)$)?", re.M)


def of_classes(error: type[QuotewellError], depth: int = 0) -> Iterator[tuple[int, str]]:
    """Depth and name of each class, parents before children, siblings in the order of the file."""
    yield depth, error.__name__
    for child in error.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from of_classes(child, depth + 1)


def test_the_tree_names_every_class_under_its_parent() -> None:
    found = LINE.finditer((errors.__doc__ or "").partition("\n\n")[2])

    assert list(of_classes(QuotewellError)) == [(len(line["indent"]) // 4, line["name"]) for line in found]


def test_the_tree_gives_the_status_and_the_code_of_each_class() -> None:
    given = {
        line["name"]: (int(line["status"]), line["code"])
        for line in LINE.finditer(errors.__doc__ or "")
        if line["code"]
    }
    classes = {name: getattr(errors, name) for name in given}

    assert given == {name: (error.status, error.code) for name, error in classes.items()}
    assert len(given) > 20
