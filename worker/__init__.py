"""The Celery worker: processes the queue and saves the provider's answers. It serves no client."""
