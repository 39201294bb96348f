"""When a queued request will be served: the ledger run ahead. Pure."""
