"""Accounts, watchlists and quotes over HTTP, in aiohttp. It reads caches and puts demand; what is fetched next is not its business."""
