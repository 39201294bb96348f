"""Accounts, watchlists and quotes over HTTP, with aiohttp. It reads caches and queues requests; it does not decide what is fetched next."""
