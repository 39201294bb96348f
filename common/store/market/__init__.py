"""Data from the provider: quotes, bars, searches, the listing."""
