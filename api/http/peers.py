"""The open connections of a process: how many there may be, in all and of one peer, and which one makes way for a new one.

A peer is an IPv4 address or an IPv6 /64 network. With TRUSTED_PROXIES the peers are our own proxies, through which all clients come, so
there is no limit for one peer then: the proxies have to limit their clients (deploy/nginx). A peer on a Unix socket is a proxy, too.
"""

from collections import defaultdict
from typing import Protocol

import structlog
from aiohttp import web

from api.http.clients import client_of
from api.http.descriptors import count_places, is_due
from common.errors import NotNow, Overloaded, RateLimited
from common.process.settings import Settings

RETRY_AFTER = 5  # seconds

log = structlog.get_logger(__name__)


class Closable(Protocol):
    """A connection."""

    def is_idle(self) -> bool:
        """Whether it waits for a request."""

    def force_close(self) -> None:
        """Close it at once."""


class Peers:
    """The connections of one process, in the order of their opening."""

    def __init__(self, settings: Settings) -> None:
        self._most = count_places()
        self._most_of_peer = 0 if settings.trusted_proxies else settings.connection_limit  # 0: no limit
        self._open: dict[Closable, str] = {}
        self._by_peer: defaultdict[str, dict[Closable, None]] = defaultdict(dict)

    def enter(self, connection: Closable, peername: object) -> NotNow | None:
        """Register a connection, and return None; or return why it must be closed. `peername`: as transports give it.

        Where there are too many, the oldest idle one is closed instead: a client that opens a thousand closes its own, and a probe from
        its address is still answered.
        """
        peer = client_of(str(peername[0])) if isinstance(peername, tuple) else ""
        of_peer = self._by_peer[peer]
        self._open[connection] = peer
        of_peer[connection] = None
        if peer and self._most_of_peer and len(of_peer) > self._most_of_peer and not _close_idle(of_peer, connection):
            error: NotNow = RateLimited(
                f"expected at most {self._most_of_peer} connections of one address", retry_after=RETRY_AFTER
            )
        elif len(self._open) > self._most and not _close_idle(self._open, connection):
            error = Overloaded(f"expected at most {self._most} connections", retry_after=RETRY_AFTER)
        else:
            return None
        if is_due("connection_refused"):
            log.warning("connection_refused", code=error.code, peer=peer, of_peer=len(of_peer), open=len(self._open))
        return error

    def leave(self, connection: Closable) -> None:
        peer = self._open.pop(connection, None)
        if peer is not None:
            self._by_peer[peer].pop(connection, None)
            if not self._by_peer[peer]:
                del self._by_peer[peer]


def _close_idle(connections: dict[Closable, None] | dict[Closable, str], new: Closable) -> bool:
    """Close the oldest idle connection other than the new one; return whether there was one."""
    for connection in connections:
        if connection is not new and connection.is_idle():
            connection.force_close()
            return True
    return False


PEERS = web.AppKey("peers", Peers)


def peers_of(manager: web.Server) -> Peers | None:
    """The connections of the application that a server runs; the simulator has no limits."""
    app = getattr(manager.request_handler, "__self__", None)
    return app.get(PEERS) if isinstance(app, web.Application) else None
