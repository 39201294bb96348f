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


class InvalidSettings(QuotewellError):
    """Fix the setting that the message names, then start again."""

    code = "invalid_settings"


class ClientError(QuotewellError):
    """The client's fault; the message says what was expected."""

    status = 400


class InvalidRequest(ClientError):
    """Send what the message asks for."""

    code = "invalid_request"


class MalformedAuthorization(InvalidRequest):
    """Send one header `Authorization: Bearer <token>`, and no second proof beside it."""


class InvalidSymbol(ClientError):
    """Send a symbol such as AAPL, BRK-B or TSCO.LON."""

    code = "invalid_symbol"


class InvalidToken(ClientError):
    """Log in again; the token is missing, malformed or not issued here."""

    status = 401
    code = "invalid_token"


class NoToken(InvalidToken):
    """Log in and send `Authorization: Bearer <token>`; the request has no token."""


class TokenExpired(InvalidToken):
    """Log in again or refresh; the token has expired."""

    code = "token_expired"


class InvalidCredentials(ClientError):
    """The name or the password is wrong; the answer does not say which."""

    status = 401
    code = "invalid_credentials"


class InsufficientScope(ClientError):
    """The token lacks the scope for this, which `scope` names; or it is an API key, which may only read."""

    status = 403
    code = "insufficient_scope"

    def __init__(self, message: str, *, scope: str = "") -> None:
        super().__init__(message)
        self.scope = scope


class RegistrationClosed(ClientError):
    """Ask the operator for an account; registration is closed."""

    status = 403
    code = "registration_closed"


class ResetUnavailable(ClientError):
    """Ask the operator for another password; this instance sends no mail."""

    status = 403
    code = "reset_unavailable"


class NotFound(ClientError):
    """There is nothing at this address."""

    status = 404
    code = "not_found"


class UnknownSymbol(NotFound):
    """The provider does not have this symbol; Quotewell asks again after an hour."""

    code = "unknown_symbol"


class NotOnWatchlist(NotFound):
    """This symbol is not on the user's watchlist."""

    code = "not_on_watchlist"


class MethodNotAllowed(ClientError):
    """Use one of the methods in the Allow header."""

    status = 405
    code = "method_not_allowed"


class NotAcceptable(ClientError):
    """Accept what the route answers, usually application/json."""

    status = 406
    code = "not_acceptable"


class Conflict(ClientError):
    """The request conflicts with what is stored; nothing was changed."""

    status = 409


class AlreadyOnWatchlist(Conflict):
    """The symbol is already on the watchlist."""

    code = "already_on_watchlist"


class WatchlistFull(Conflict):
    """Remove a symbol first."""

    code = "watchlist_full"


class KeysFull(Conflict):
    """End an API key first."""

    code = "keys_full"


class UsernameTaken(Conflict):
    """Choose another username."""

    code = "username_taken"


class EmailTaken(Conflict):
    """This address already has an account."""

    code = "email_taken"


class PayloadTooLarge(ClientError):
    """Send a smaller body."""

    status = 413
    code = "payload_too_large"


class UnsupportedMediaType(ClientError):
    """Send application/json."""

    status = 415
    code = "unsupported_media_type"


class NotNow(QuotewellError):
    """Try again after `retry_after` seconds (a whole number, at least 1)."""

    status = 503

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = max(1, ceil(retry_after))


class RateLimited(NotNow):
    """This client exceeded its limit; try again later."""

    status = 429
    code = "rate_limited"


class TooManyStreams(NotNow):
    """Close one of your streams first; this user or network has as many open as it may."""

    status = 429
    code = "too_many_streams"


class QuotePending(NotNow):
    """The symbol is queued; its first quote has not arrived yet."""

    code = "quote_pending"


class StoreUnavailable(NotNow):
    """PostgreSQL does not answer. The message says whether nothing was written or it is unknown; if unknown, check before you retry."""

    code = "store_unavailable"


class StoreUnfit(StoreUnavailable):
    """PostgreSQL answers and refuses: migrate it (`quotewell migrate`), or correct DATABASE_URL."""


class StoreBusy(StoreUnavailable):
    """Try again later; all of our connections to PostgreSQL are in use. Nothing was written."""

    code = "overloaded"


class ProviderUnavailable(NotNow):
    """The provider does not answer or refuses; nothing was changed."""

    code = "provider_unavailable"


class Overloaded(NotNow):
    """More requests than can be served; try again later."""

    code = "overloaded"
