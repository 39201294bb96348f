"""The database's schema: migrations, functions, and the command that applies them."""
