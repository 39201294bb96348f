"""Access tokens, checked by aiohttp-jwt inside a wrapper.

aiohttp-jwt alone accepts tokens without `exp`, answers 403 for a wrong scheme, answers 500 to a crafted header, and has no leeway. So the
wrapper reads the header itself, requires its own claims, maps the errors to ours, and calls the real handler outside the middleware.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import jwt
from aiohttp import web
from aiohttp_jwt import JWTMiddleware

from common.errors import InvalidToken, MalformedAuthorization, NoToken, TokenExpired

ISSUER = "quotewell"
AUDIENCE = "quotewell-api"
CLAIMS = ("exp", "iat", "nbf", "sub", "jti", "iss", "aud", "typ", "sid")
TIMES = ("exp", "iat", "nbf")
ALGORITHMS = ["HS256"]
LEEWAY = 10.0  # seconds that the issuing process's clock may be ahead of ours
MAX_HEADER_LENGTH = 4096
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, 2.1
IDS = re.compile(r"[1-9][0-9]{0,17} [1-9][0-9]{0,17}")

REFUSALS = (web.HTTPUnauthorized, web.HTTPForbidden, jwt.InvalidTokenError)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Check = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]


class Tokens:
    """Issues access tokens with one key, and accepts those of the previous key, too; the `kid` says which."""

    def __init__(self, secret: str, *, previous: str = "", ttl: timedelta) -> None:
        self.ttl = ttl
        self._secret = secret
        self._kid = _kid(secret)
        self._successor_key = hmac.digest(secret.encode(), b"successors of refresh tokens", "sha256")
        self._checks: dict[str, Check] = {_kid(key): _check(key) for key in (previous, secret) if key}

    def issue(self, user: int, scope: str, login: int, *, ttl: timedelta | None = None) -> str:
        """An access token of a login, valid for the usual time or another `ttl`; it ends with the login."""
        now = datetime.now(UTC)
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user),
            "sid": str(login),
            "jti": secrets.token_urlsafe(16),
            "typ": "access",
            "scope": scope,
            "iat": now,
            "nbf": now,
            "exp": now + (self.ttl if ttl is None else ttl),
        }
        return jwt.encode(claims, self._secret, algorithm="HS256", headers={"kid": self._kid})

    def successor(self, refresh_token: str) -> str:
        """The refresh token that follows this one. It is always the same, so a repeated renewal repeats its answer, and nothing that could
        be stolen is stored for that; without the secret nobody can compute it."""
        following = hmac.digest(self._successor_key, refresh_token.encode(), "sha256")
        return base64.urlsafe_b64encode(following).rstrip(b"=").decode()

    async def verify(self, request: web.Request) -> dict[str, Any]:
        """The claims of the request's token; raise `NoToken`, `TokenExpired`, another `InvalidToken`, or `MalformedAuthorization`."""
        token = _bearer(request)
        try:
            check = self._checks.get(str(jwt.get_unverified_header(token).get("kid")))
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            check = None
        if check is None:
            raise InvalidToken("the token is not one of ours")
        try:
            await check(request, _answer_nothing)
        except (*REFUSALS, ValueError, TypeError, RecursionError) as error:
            if isinstance(error, jwt.ExpiredSignatureError) or isinstance(error.__context__, jwt.ExpiredSignatureError):
                raise TokenExpired("the token has expired") from None
            raise InvalidToken("the token is not valid") from None
        claims: dict[str, Any] = request["payload"]
        return claims


def _kid(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()[:8]


def _check(secret: str) -> Check:
    """The middleware's check, and a second check, with leeway, of tokens that it calls not yet valid."""
    check: Check = JWTMiddleware(
        secret,
        algorithms=ALGORITHMS,
        token_getter=_bearer_later,
        is_revoked=_lacks_claims,
        audience=AUDIENCE,
        issuer=ISSUER,
    )

    async def check_with_leeway(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await check(request, handler)
        except web.HTTPUnauthorized as error:
            if not isinstance(error.__context__, jwt.ImmatureSignatureError):
                raise
        claims = _decode_early(_bearer(request), secret)
        if await _lacks_claims(request, claims):
            raise web.HTTPForbidden
        request["payload"] = claims
        return await handler(request)

    return check_with_leeway


def _decode_early(token: str, secret: str) -> dict[str, Any]:
    """The claims of a token that is at most `LEEWAY` early. PyJWT has one leeway for all claims, and `exp` must have none."""
    decode = partial(jwt.decode, token, secret, algorithms=ALGORITHMS, audience=AUDIENCE, issuer=ISSUER)
    decode(leeway=LEEWAY)
    claims: dict[str, Any] = decode(options={"verify_iat": False, "verify_nbf": False})
    return claims


async def _bearer_later(request: web.Request) -> str:
    return _bearer(request)


def _bearer(request: web.Request) -> str:
    """The token of the only Authorization header: the scheme in any case, one or more blanks, the token (RFC 6750, 2.1).

    Another scheme, or none, is a request without a token.
    """
    headers = request.headers.getall("Authorization", [])
    if len(headers) > 1:
        raise MalformedAuthorization(f"expected one header `Authorization: Bearer <token>`, not {len(headers)}")
    scheme, _, rest = "".join(headers).strip().partition(" ")
    token = rest.lstrip(" ")
    if scheme.lower() != "bearer" or not token:
        raise NoToken("expected a header `Authorization: Bearer <token>`")
    if len(headers[0]) > MAX_HEADER_LENGTH or TOKEN.fullmatch(token) is None:
        raise InvalidToken("the token is not one of ours")
    return token


async def _lacks_claims(_: web.Request, claims: dict[str, Any]) -> bool:
    """Whether a claim is missing that PyJWT treats as optional, a time is no number, or `sub` or `sid` is no id."""
    if any(claims.get(name) is None for name in CLAIMS) or claims["typ"] != "access":
        return True
    if any(type(claims[name]) not in (int, float) for name in TIMES):  # PyJWT accepts "1795780800" and true
        return True
    return not isinstance(claims["jti"], str) or IDS.fullmatch(f"{claims['sub']} {claims['sid']}") is None


async def _answer_nothing(_: web.Request) -> web.StreamResponse:
    return web.Response()


TOKENS = web.AppKey("tokens", Tokens)
