"""New quotes, pushed to clients."""
