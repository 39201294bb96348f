"""A page of ours: one file with one style and one script, which loads nothing from other hosts."""

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from aiohttp import web

PAGE_TTL = 60  # seconds that a cache may keep a page; short, because a deploy changes it
FOLDER = Path(__file__).parent / "pages"


class Page:
    """The text of a file in `pages/`, with its Content-Security-Policy."""

    def __init__(self, name: str) -> None:
        self.text = (FOLDER / name).read_text(encoding="utf-8")
        self.headers = {
            "Content-Security-Policy": _policy(self.text),
            "Referrer-Policy": "no-referrer",
            "Cache-Control": f"public, max-age={PAGE_TTL}",
        }

    def respond(self) -> web.Response:
        return web.Response(text=self.text, content_type="text/html", headers=self.headers)


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
