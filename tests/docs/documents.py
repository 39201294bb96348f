"""Parse the documents: their links, headings and code."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
SHELL = ("sh", "bash")


def documents() -> list[str]:
    """Paths of all documents, relative to the root."""
    found = [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "deploy").rglob("*.md"),
        ROOT / "bench/README.md",
    ]
    return sorted(str(path.relative_to(ROOT)) for path in found)


@cache
def tokens(document: str) -> tuple[Token, ...]:
    """Blocks and their inline parts, in order."""
    parser = MarkdownIt("commonmark").enable("table")
    blocks = parser.parse((ROOT / document).read_text())
    return tuple(token for block in blocks for token in (block, *(block.children or ())))


def links(document: str) -> Iterator[str]:
    """The targets of its links and pictures."""
    for token in tokens(document):
        if (target := token.attrs.get("href") or token.attrs.get("src")) is not None:
            yield str(target)


def anchors(document: str) -> set[str]:
    """The anchors of its headings, as GitHub makes them."""
    parts = tokens(document)
    headings = (parts[at + 1].content for at, token in enumerate(parts) if token.type == "heading_open")
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def blocks(document: str) -> list[str]:
    """The contents of its shell blocks."""
    return [token.content for token in tokens(document) if token.type == "fence" and token.info in SHELL]


def words(document: str) -> list[str]:
    """Inline code."""
    return [token.content for token in tokens(document) if token.type == "code_inline"]
