"""How fresh quotes and charts are, and why they are stale. Pure."""
