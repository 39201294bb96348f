"""A page of ours: one file with one style and one script, which loads nothing from other hosts."""

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from api.static import Static

FOLDER = Path(__file__).parent / "pages"


def read_page(name: str) -> Static:
    """A file in `pages/`, with its Content-Security-Policy."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    headers = {"Content-Security-Policy": _policy(text), "Referrer-Policy": "no-referrer"}
    return Static(text.encode(), "text/html; charset=utf-8", headers)


def _policy(page: str) -> str:
    """Allow the page's own style and script, by hash, and requests to this host; nothing else."""
    (style,), (script,) = (re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.S) for tag in ("style", "script"))
    allowed = {
        "default-src": "'none'",
        "style-src": _hash(style),
        "script-src": _hash(script),
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {sources}" for name, sources in allowed.items())


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
