"""A user's list, and its stream."""
