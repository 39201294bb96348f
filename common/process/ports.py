"""Free ports for servers that this process starts."""

import socket

_given: set[int] = set()


def free_port() -> int:
    """A free port of 127.0.0.1. Nothing reserves it until its server starts, so no port is returned twice."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port: int = server.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port
