"""A local Alpha Vantage: the same URL, bodies, limits and faults, over made-up prices. It knows nothing of Quotewell."""
