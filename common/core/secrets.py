"""Random secrets that are handed out once: refresh tokens, tickets, API keys, tokens of mails. Only their hashes are stored."""

import hashlib
import secrets


def new_secret() -> str:
    """256 random bits, as 43 letters, digits, `-` and `_`."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> bytes:
    """The hash that is stored of a secret. A fast hash is enough, because the secret is random."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()
