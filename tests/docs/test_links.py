"""Every link leads to a file and a heading that exist, and so does every path in inline code."""

import re
from urllib.parse import unquote

import pytest

from tests.docs.documents import ROOT, anchors, documents, links, words

EVERY = pytest.mark.parametrize("document", documents())
ROOMS = "|".join(sorted(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")))
FILE = re.compile(rf"(?:{ROOMS})/[\w./-]*")


@EVERY
def test_each_link_leads_to_a_file_and_a_heading(document: str) -> None:
    broken = []
    for link in links(document):
        path, _, anchor = unquote(link).partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (ROOT / document).parent / path if path else ROOT / document
        if not target.exists() or (anchor and anchor not in anchors(str(target.resolve().relative_to(ROOT)))):
            broken.append(link)

    assert [] == broken


@EVERY
def test_each_named_file_exists(document: str) -> None:
    named = {word for text in words(document) for word in text.split() if FILE.fullmatch(word)}

    assert [] == [name for name in sorted(named) if not (ROOT / name).exists()]


def test_all_documents_are_checked() -> None:
    assert {"README.md", "CHANGELOG.md", "docs/architecture.md", "docs/runbook.md", "docs/providers.md"} <= set(
        documents()
    )
