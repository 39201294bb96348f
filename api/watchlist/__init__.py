"""A user's watchlist, and its stream."""
