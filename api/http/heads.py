"""What must be right about a request's head beyond what the parser checks (RFC 9110 and 9112). It reads one message and no connection."""

import re
from functools import lru_cache

from aiohttp import HttpVersion10, HttpVersion11, hdrs
from aiohttp.http import RawRequestMessage

from common.errors import InvalidRequest

_HOST = re.compile(  # RFC 9110, 7.2: no user, path or query
    r"(\[[0-9A-Fa-f:.]+\]|([A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(:[0-9]*)?"
)


class WrongHead(InvalidRequest):
    """Send a head that HTTP/1.1 allows; the connection is closed."""


def find_fault(message: RawRequestMessage) -> WrongHead | None:
    """What is wrong with the head of a request, or None."""
    if message.version not in (HttpVersion11, HttpVersion10):
        return WrongHead("expected HTTP/1.1 or HTTP/1.0")
    if not _is_authority(message.headers.get(hdrs.HOST, "")):
        return WrongHead("expected a Host with a name and at most a port")
    if message.path[:1] != "/" and not _is_whole(message):
        return WrongHead("expected a path, or an address that begins with http:// and a host")
    if "#" in message.path:
        return WrongHead("expected an address without a fragment")
    coding = message.headers.get(hdrs.TRANSFER_ENCODING)
    if coding is not None and (message.version != HttpVersion11 or coding.lower() != "chunked"):
        return WrongHead("expected no Transfer-Encoding but chunked, in HTTP/1.1")
    return None


@lru_cache(maxsize=1000)
def _is_authority(text: str) -> bool:
    return _HOST.fullmatch(text) is not None


def _is_whole(message: RawRequestMessage) -> bool:
    """Whether a target that is no path is a whole address, as proxies are sent it, or stands for the server."""
    if message.method in (hdrs.METH_CONNECT, hdrs.METH_OPTIONS) and "/" not in message.path:
        return True
    return message.url.scheme in ("http", "https") and _is_authority(message.url.raw_authority)
