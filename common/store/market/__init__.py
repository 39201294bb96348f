"""What the provider said: quotes, bars, searches, the listing."""
