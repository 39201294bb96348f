"""Who a request is of: registration, logins, tokens."""
