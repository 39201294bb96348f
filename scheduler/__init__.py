"""Celery beat with its schedule. Running it twice does no harm."""
