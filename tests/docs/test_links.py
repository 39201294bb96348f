"""No document leads nowhere: links, headings, and the files that are named."""

import re
from urllib.parse import unquote

import pytest

from tests.docs.documents import ROOT, anchors, documents, links, words

EVERY = pytest.mark.parametrize("document", documents())
ROOMS = "|".join(sorted(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")))
FILE = re.compile(rf"(?:{ROOMS})/[\w./-]*")


@EVERY
def test_each_link_leads_to_a_file_and_to_a_heading_of_it(document: str) -> None:
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
def test_each_file_that_is_named_is_there(document: str) -> None:
    named = {word for text in words(document) for word in text.split() if FILE.fullmatch(word)}

    assert [] == [name for name in sorted(named) if not (ROOT / name).exists()]


def test_all_documents_are_looked_at() -> None:
    assert {"README.md", "CHANGELOG.md", "docs/architecture.md", "docs/runbook.md", "docs/providers.md"} <= set(
        documents()
    )
