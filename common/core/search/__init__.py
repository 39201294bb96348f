"""Find symbols by name or letters. Pure."""
