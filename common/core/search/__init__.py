"""Finding a symbol by its name or its letters. Pure."""
