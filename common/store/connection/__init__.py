"""The address of PostgreSQL, and connections to it."""
