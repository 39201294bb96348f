"""The keys that sign access tokens. They come from the environment; outside of production a missing one has a default.

The default on a loopback address is a key that stands in this file. On any other address it is drawn at random, and kept in
`QUOTEWELL_HOME` for all processes of the machine: whoever reads this file could sign tokens with the other.
"""

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from tempfile import NamedTemporaryFile

from common.errors import InvalidSettings

SAMPLE_SECRETS = frozenset({"change-me-to-a-long-random-string-of-your-own"})
DEVELOPMENT_SECRET = "development-only-never-in-production"  # only on a loopback address  # nosec B105
MIN_BYTES = 32
FILE = "jwt.key"


def signing_key(env: Mapping[str, str], name: str, *, production: bool, host: str) -> str:
    """The setting `name`, or its default for this `HOST`; raise `InvalidSettings` if it is weak or public."""
    secret, is_private = env.get(name, ""), _is_loopback(host) and not production
    if not secret and is_private:
        return DEVELOPMENT_SECRET
    if not secret and not production:
        return kept_key(Path(env.get("QUOTEWELL_HOME") or ".quotewell"))
    return _check(secret, name, is_private=is_private, hint="such as `openssl rand -base64 32` prints")


def previous_key(env: Mapping[str, str], name: str, *, production: bool, host: str) -> str:
    """The setting `name`, a key whose tokens stay valid until they expire; empty if there is none."""
    secret, is_private = env.get(name, ""), _is_loopback(host) and not production
    return _check(secret, name, is_private=is_private, hint="or nothing") if secret else ""


def kept_key(home: Path) -> str:
    """The key in a folder, drawn by the first process that needs it; raise `InvalidSettings` if it cannot be kept secret."""
    path = home / FILE
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _draw(path)
        return _read(path)
    except OSError as error:
        raise InvalidSettings(
            f"JWT_SECRET_KEY: expected at least {MIN_BYTES} bytes, or a QUOTEWELL_HOME that can keep a key;"
            f" {path}: {os.strerror(error.errno or 0)}"
        ) from None


def _draw(path: Path) -> None:
    """Write a key to a file of its own and link that to `path`: nobody reads half a key, and of several processes the first wins."""
    with NamedTemporaryFile("w", dir=path.parent, prefix=".jwt-") as file:  # its mode is 0600
        file.write(secrets.token_urlsafe(MIN_BYTES))
        file.flush()
        os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(file.name, path)


def _read(path: Path) -> str:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), errors="replace") as file:
        status, secret = os.fstat(file.fileno()), file.read().strip()
    if status.st_mode & 0o077 or status.st_uid != os.geteuid():
        raise InvalidSettings(f"QUOTEWELL_HOME: others may read or replace {path}; delete it, and a new key is drawn")
    if len(secret) < MIN_BYTES or not secret.isascii():
        raise InvalidSettings(f"QUOTEWELL_HOME: {path} is no key; delete it, and a new one is drawn")
    return secret


def _is_loopback(host: str) -> bool:
    """Whether only this machine can connect. Of names only `localhost` is trusted to be one."""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host.lower() == "localhost"


def _check(secret: str, name: str, *, is_private: bool, hint: str) -> str:
    if len(secret.encode()) < MIN_BYTES:
        raise InvalidSettings(f"{name}: expected at least {MIN_BYTES} bytes, {hint}")
    if not is_private and secret in SAMPLE_SECRETS | {DEVELOPMENT_SECRET}:
        raise InvalidSettings(f"{name}: expected a secret of your own, not the sample's")
    return secret
