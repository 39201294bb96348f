"""Fresh quotes pushed to clients."""
