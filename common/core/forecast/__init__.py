"""Forecast when queued requests will be served, by simulating the ledger. Pure."""
