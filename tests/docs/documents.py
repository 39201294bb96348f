"""The documents as a reader has them: their links, headings, code. It judges nothing."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
SHELL = ("sh", "bash")


def documents() -> list[str]:
    """Paths below the root, of all that is written for readers."""
    found = [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "deploy").rglob("*.md"),
        ROOT / "bench/README.md",
    ]
    return sorted(str(path.relative_to(ROOT)) for path in found)


@cache
def tokens(document: str) -> tuple[Token, ...]:
    """Blocks and what stands in their lines, in order."""
    parser = MarkdownIt("commonmark").enable("table")
    blocks = parser.parse((ROOT / document).read_text())
    return tuple(token for block in blocks for token in (block, *(block.children or ())))


def links(document: str) -> Iterator[str]:
    """Where its links and pictures lead."""
    for token in tokens(document):
        if (target := token.attrs.get("href") or token.attrs.get("src")) is not None:
            yield str(target)


def anchors(document: str) -> set[str]:
    """The names that a heading can be linked by."""
    parts = tokens(document)
    headings = (parts[at + 1].content for at, token in enumerate(parts) if token.type == "heading_open")
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def blocks(document: str) -> list[str]:
    """What stands there to be typed into a shell."""
    return [token.content for token in tokens(document) if token.type == "fence" and token.info in SHELL]


def words(document: str) -> list[str]:
    """Code within a line."""
    return [token.content for token in tokens(document) if token.type == "code_inline"]
