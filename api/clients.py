"""Who a request comes from: the address of its connection, or what our own proxies say. Nobody else's word is taken for it."""

from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address

from aiohttp import web

from api.state import RESOURCES

FORWARDED = "X-Forwarded-For"
LONGEST = 45  # characters of an address in text
NETWORK = 64  # bits of what an IPv6 client has to itself, and can take any address of


def address_of(request: web.Request) -> str:
    """The client as text: an IPv4 address, or the network of an IPv6 one.

    With `TRUSTED_PROXIES=n` the n-th from the right of all forwarded addresses, which the outermost of our proxies saw itself; what
    stands left of it anybody can write. If there is none, or no address in its place: the peer's.
    """
    peer = request.remote or ""
    proxies = request.app[RESOURCES].settings.trusted_proxies
    return (_forwarded(request, proxies) if proxies else None) or _client(peer) or peer


def _forwarded(request: web.Request, proxies: int) -> str | None:
    addresses = ",".join(request.headers.getall(FORWARDED, [])).split(",")
    text = addresses[-proxies].strip() if len(addresses) >= proxies else ""
    return _client(text) if len(text) <= LONGEST else None


@lru_cache(maxsize=10_000)
def _client(text: str) -> str | None:
    """The client that an address is of; None for what is no address."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(IPv6Network((int(address), NETWORK), strict=False))
    return str(address.ipv4_mapped if isinstance(address, IPv6Address) else address)
