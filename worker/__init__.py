"""The Celery worker: works the line of demand and writes what the provider answers. It serves nobody directly."""
