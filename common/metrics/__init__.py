"""What is counted, and how Prometheus gets it. Importing this package imports no client: common/metrics/files.py must come before it."""
