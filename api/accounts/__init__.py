"""Users: registration, logins, tokens, and who a request counts for."""
