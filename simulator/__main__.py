"""`python -m simulator`: a local Alpha Vantage on SIMULATOR_PORT until a signal comes."""

import os
import sys

from aiohttp import web

from common.errors import InvalidSettings
from simulator.app import create_app
from simulator.config import Config, from_env


def main() -> int:
    try:
        config = from_env(os.environ)
        serve(config)
    except InvalidSettings as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def serve(config: Config) -> None:
    """Serve until a signal comes; one line on standard output says that the port is open."""

    def announce(_: str) -> None:
        print(f"simulator: http://{config.host}:{config.port}/query", flush=True)

    app, where = create_app(config), f"{config.host}:{config.port}"
    try:
        # no access log: a request's line holds the caller's key
        web.run_app(app, host=config.host, port=config.port, access_log=None, print=announce, shutdown_timeout=1)
    except OSError as error:
        raise InvalidSettings(
            f"SIMULATOR_PORT: expected a free port on HOST, not {where} ({error.strerror})"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
