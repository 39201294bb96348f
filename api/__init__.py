"""The aiohttp service: accounts, watchlists and quotes over HTTP. It reads caches and puts demand; it never decides what is fetched next."""
