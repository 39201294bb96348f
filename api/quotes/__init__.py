"""The read path: quotes, charts, search and the overview, from memory, the stores or, on a miss, the provider."""
