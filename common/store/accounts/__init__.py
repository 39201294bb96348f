"""Users, logins, watchlists and the audit."""
