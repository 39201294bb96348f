"""One statement, one function; the connection is the first argument. No settings, no requests, no transactions of its own."""
