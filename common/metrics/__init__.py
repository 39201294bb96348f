"""Metrics and their export to Prometheus. Importing this package must not import prometheus_client (see common/metrics/files.py)."""
