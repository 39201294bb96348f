"""The client's address: the peer of the connection, or what our own proxies forwarded. No other header is trusted."""

import re
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import structlog
from aiohttp import web

from api.http.keys import RESOURCES

FORWARDED = "X-Forwarded-For"
MAX_ADDRESS_LENGTH = 80  # characters, with quotes, brackets, a zone and a port
OWN_BITS = 64  # the prefix that one IPv6 client owns; it can use any address in it
IPV4_BITS, IPV6_BITS = 24, 48  # the network that counts as one reader, one requester, one registrant

PORT = re.compile(r"(:([0-9]{1,5}|_[A-Za-z0-9._-]+))?")

Form = Callable[[str], str | None]

log = structlog.get_logger(__name__)
_logged: set[str] = set()  # warnings that this process has logged already


def address_of(request: web.Request) -> str:
    """The client as text: an IPv4 address, or the network of an IPv6 one.

    With `TRUSTED_PROXIES=n` it is the n-th forwarded address from the right: our outermost proxy wrote it, while a client can write
    anything to its left. If that is missing or no address, it is the peer's. `Forwarded` (RFC 7239) is not read.
    """
    return _seen(request, _client)


def network_of(request: web.Request) -> str:
    """The client's network as text, such as `192.0.2.0/24` or `2001:db8::/48`, by the same rules as `address_of`."""
    return _seen(request, _network)


def client_of(address: str) -> str:
    """The client of a peer's address, in the form of `address_of`."""
    return _client(address) or address


def _seen(request: web.Request, form: Form) -> str:
    peer = request.remote or ""
    proxies = request.app[RESOURCES].settings.trusted_proxies
    forwarded = _forwarded(request, proxies, form) if proxies else None
    return forwarded or form(peer) or peer


def _forwarded(request: web.Request, proxies: int, form: Form) -> str | None:
    addresses = ",".join(request.headers.getall(FORWARDED, [])).split(",")
    if addresses == [""] or len(addresses) < proxies:
        return None
    text = addresses[-proxies].strip()
    seen = form(text) if len(text) <= MAX_ADDRESS_LENGTH else None
    if seen is None and FORWARDED not in _logged:
        _logged.add(FORWARDED)
        log.warning("forwarded_address_unread", value=text[:MAX_ADDRESS_LENGTH], place=proxies)
    return seen


@lru_cache(maxsize=10_000)
def _client(text: str) -> str | None:
    """The client of an address; None if the text is no address."""
    address = _parsed(text)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), OWN_BITS), strict=False))
    return str(address) if address else None


@lru_cache(maxsize=10_000)
def _network(text: str) -> str | None:
    """The network of an address; None if the text is no address."""
    address = _parsed(text)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), IPV6_BITS), strict=False))
    return str(IPv4Network((int(address), IPV4_BITS), strict=False)) if address else None


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """An address; an IPv4-mapped IPv6 address becomes IPv4."""
    try:
        address = ip_address(_bare(text))
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _bare(text: str) -> str:
    """An address without the quotes, brackets, port and zone that proxies write around it."""
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1].strip()
    host, rest = text, ""
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        host = host if closed else text
    elif text.count(":") == 1:
        host, colon, port = text.partition(":")
        rest = colon + port
    if not PORT.fullmatch(rest):
        raise ValueError("no port")
    return host.partition("%")[0]
