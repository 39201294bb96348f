"""Every error that Quotewell raises on purpose, by whose fault it is. Of HTTP it knows only status numbers.

QuotewellError
├── InvalidSettings                     the operator's fault: the process does not start
├── ClientError                         the client's fault: 4xx
│   ├── InvalidRequest                  400 invalid_request
│   │   └── MalformedAuthorization      400 invalid_request
│   ├── InvalidSymbol                   400 invalid_symbol
│   ├── InvalidToken                    401 invalid_token
│   │   ├── NoToken                     401 invalid_token
│   │   └── TokenExpired                401 token_expired
│   ├── InvalidCredentials              401 invalid_credentials
│   ├── InsufficientScope               403 insufficient_scope
│   ├── RegistrationClosed              403 registration_closed
│   ├── ResetUnavailable                403 reset_unavailable
│   ├── NotFound                        404 not_found
│   │   ├── UnknownSymbol               404 unknown_symbol
│   │   └── NotOnWatchlist              404 not_on_watchlist
│   ├── MethodNotAllowed                405 method_not_allowed
│   ├── NotAcceptable                   406 not_acceptable
│   ├── Conflict
│   │   ├── AlreadyOnWatchlist          409 already_on_watchlist
│   │   ├── WatchlistFull               409 watchlist_full
│   │   ├── KeysFull                    409 keys_full
│   │   ├── UsernameTaken               409 username_taken
│   │   └── EmailTaken                  409 email_taken
│   ├── PayloadTooLarge                 413 payload_too_large
│   └── UnsupportedMediaType            415 unsupported_media_type
└── NotNow                              temporary: sent with Retry-After
    ├── RateLimited                     429 rate_limited
    ├── TooManyStreams                  429 too_many_streams
    ├── QuotePending                    503 quote_pending
    ├── StoreUnavailable                503 store_unavailable
    │   ├── StoreUnfit                  503 store_unavailable
    │   └── StoreBusy                   503 overloaded
    ├── ProviderUnavailable             503 provider_unavailable
    └── Overloaded                      503 overloaded
"""

from math import ceil


class QuotewellError(Exception):
    """Base class; never raised itself."""

    status = 500
    code = "internal"

    def __init_subclass__(cls, *, status: int | None = None, code: str | None = None) -> None:
        """Without `status` or `code` a class has that of its parent."""
        super().__init_subclass__()
        cls.status = status or cls.status
        cls.code = code or cls.code


class InvalidSettings(QuotewellError, code="invalid_settings"):
    """Fix the setting that the message names, then start again."""


class ClientError(QuotewellError, status=400):
    """The client's fault; the message says what was expected."""


class InvalidRequest(ClientError, code="invalid_request"):
    """Send what the message asks for."""


class MalformedAuthorization(InvalidRequest):
    """Send one header `Authorization: Bearer <token>`, and no second proof beside it."""


class InvalidSymbol(ClientError, code="invalid_symbol"):
    """Send a symbol such as AAPL, BRK-B or TSCO.LON."""


class InvalidToken(ClientError, status=401, code="invalid_token"):
    """Log in again; the token is missing, malformed or not issued here."""


class NoToken(InvalidToken):
    """Log in and send `Authorization: Bearer <token>`; the request has no token."""


class TokenExpired(InvalidToken, code="token_expired"):
    """Log in again or refresh; the token has expired."""


class InvalidCredentials(ClientError, status=401, code="invalid_credentials"):
    """The name or the password is wrong; the answer does not say which."""


class InsufficientScope(ClientError, status=403, code="insufficient_scope"):
    """The token lacks the scope for this, which `scope` names; or it is an API key, which may only read."""

    def __init__(self, message: str, *, scope: str = "") -> None:
        super().__init__(message)
        self.scope = scope


class RegistrationClosed(ClientError, status=403, code="registration_closed"):
    """Ask the operator for an account; registration is closed."""


class ResetUnavailable(ClientError, status=403, code="reset_unavailable"):
    """Ask the operator for another password; this instance sends no mail."""


class NotFound(ClientError, status=404, code="not_found"):
    """There is nothing at this address."""


class UnknownSymbol(NotFound, code="unknown_symbol"):
    """The provider does not have this symbol; Quotewell asks again after an hour."""


class NotOnWatchlist(NotFound, code="not_on_watchlist"):
    """This symbol is not on the user's watchlist."""


class MethodNotAllowed(ClientError, status=405, code="method_not_allowed"):
    """Use one of the methods in the Allow header."""


class NotAcceptable(ClientError, status=406, code="not_acceptable"):
    """Accept what the route answers, usually application/json."""


class Conflict(ClientError, status=409):
    """The request conflicts with what is stored; nothing was changed."""


class AlreadyOnWatchlist(Conflict, code="already_on_watchlist"):
    """The symbol is already on the watchlist."""


class WatchlistFull(Conflict, code="watchlist_full"):
    """Remove a symbol first."""


class KeysFull(Conflict, code="keys_full"):
    """End an API key first."""


class UsernameTaken(Conflict, code="username_taken"):
    """Choose another username."""


class EmailTaken(Conflict, code="email_taken"):
    """This address already has an account."""


class PayloadTooLarge(ClientError, status=413, code="payload_too_large"):
    """Send a smaller body."""


class UnsupportedMediaType(ClientError, status=415, code="unsupported_media_type"):
    """Send application/json."""


class NotNow(QuotewellError, status=503):
    """Try again after `retry_after` seconds (a whole number, at least 1)."""

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = max(1, ceil(retry_after))


class RateLimited(NotNow, status=429, code="rate_limited"):
    """This client exceeded its limit; try again later."""


class TooManyStreams(NotNow, status=429, code="too_many_streams"):
    """Close one of your streams first; this user or network has as many open as it may."""


class QuotePending(NotNow, code="quote_pending"):
    """The symbol is queued; its first quote has not arrived yet."""


class StoreUnavailable(NotNow, code="store_unavailable"):
    """PostgreSQL does not answer. The message says whether nothing was written or it is unknown; if unknown, check before you retry."""


class StoreUnfit(StoreUnavailable):
    """PostgreSQL answers and refuses: migrate it (`quotewell migrate`), or correct DATABASE_URL."""


class StoreBusy(StoreUnavailable, code="overloaded"):
    """Try again later; all of our connections to PostgreSQL are in use. Nothing was written."""


class ProviderUnavailable(NotNow, code="provider_unavailable"):
    """The provider does not answer or refuses; nothing was changed."""


class Overloaded(NotNow, code="overloaded"):
    """More requests than can be served; try again later."""
