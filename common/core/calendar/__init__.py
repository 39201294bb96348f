"""When markets are open, and when a price is final. Pure."""
