"""Answers that never change while a process runs: compressed once, and sent in the encoding that the client prefers.

Hot quotes are never compressed: 350 bytes fit into one packet as they are.
"""

import gzip
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import blake2b

import brotli
from aiohttp import hdrs, web

from api.http.answers import matches
from common.errors import NotAcceptable

TTL = 60  # seconds that a cache may keep an answer; short, because a deploy changes it
BROTLI_QUALITY = 10  # the highest, 11, takes three times as long and saves 2 %
IDENTITY = "identity"
ENCODINGS = ("br", "gzip", IDENTITY)  # the smallest first
ALIASES = {"x-gzip": "gzip"}
ACCEPT_ENCODING = {"Accept-Encoding": "`br` and `gzip` are there; without this header the answer is not compressed."}
LOWEST_WEIGHT = 0.0001  # of `identity` that a client does not name: below each weight that a client can name
_WEIGHT = re.compile(r"\s*q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*", re.I)


class Static:
    """A body in every encoding, each with its own `ETag`: caches must not take one for another. `headers`: further ones."""

    def __init__(self, body: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        bodies = {
            "br": brotli.compress(body, quality=BROTLI_QUALITY),
            "gzip": gzip.compress(body, mtime=0),  # without a time, so that all processes send the same bytes
            IDENTITY: body,
        }
        self._encoded = {encoding: (encoded, _etag(encoded)) for encoding, encoded in bodies.items()}
        self._content_type = content_type
        self._headers = {
            "Cache-Control": f"public, max-age={TTL}",
            "Age": "0",
            "Last-Modified": format_datetime(datetime.now(UTC), usegmt=True),
            "Vary": "Origin, Accept-Encoding",
            **(headers or {}),
        }

    def respond(self, request: web.Request) -> web.Response:
        """The body in the client's encoding, or 304 if the client has it so. A 304 has the same headers: a browser replaces those
        that it has kept, the policy of a page included."""
        encoding = prefer(request.headers.getall(hdrs.ACCEPT_ENCODING, None))
        if encoding is None:
            raise NotAcceptable(f"expected an Accept-Encoding that allows {', '.join(ENCODINGS)}")
        body, etag = self._encoded[encoding]
        headers = {**self._headers, "ETag": etag}
        if matches(request.headers.get(hdrs.IF_NONE_MATCH), etag):
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = self._content_type
        if encoding != IDENTITY:
            headers["Content-Encoding"] = encoding
        return web.Response(body=body, headers=headers)


def _etag(body: bytes) -> str:
    return f'"{blake2b(body, digest_size=12).hexdigest()}"'


def prefer(accepted: list[str] | None) -> str | None:
    """The encoding that the lines of `Accept-Encoding` prefer (RFC 9110, 12.5.3), the smaller body at equal weights; None if they
    refuse all. Without a line it is `identity`: such clients often cannot decompress."""
    if accepted is None:
        return IDENTITY
    weights = _weights(",".join(accepted))
    others = weights.get("*", 0.0)
    weights.setdefault(IDENTITY, weights.get("*", LOWEST_WEIGHT))
    best = max(ENCODINGS, key=lambda encoding: weights.get(encoding, others))
    return best if weights.get(best, others) > 0 else None


def _weights(header: str) -> dict[str, float]:
    """Weights by encoding. An element with a malformed weight is ignored."""
    weights: dict[str, float] = {}
    for element in header.lower().split(","):
        name, parameter, text = element.partition(";")
        weight = _WEIGHT.fullmatch(text) if parameter else None
        if not parameter or weight:
            name = name.strip()
            weights[ALIASES.get(name, name)] = float(weight[1]) if weight else 1.0
    return weights
