"""The CSV files beside this module."""

import csv
from importlib.resources import files


def read_rows(name: str) -> list[list[str]]:
    """The rows of a file, without its header."""
    lines = files("simulator.market").joinpath(name).read_text(encoding="utf-8").splitlines()
    return list(csv.reader(lines))[1:]
