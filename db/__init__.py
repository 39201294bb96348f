"""The database's shape: numbered migrations, and the one command that applies them."""
