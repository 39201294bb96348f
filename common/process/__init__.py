"""What a process starts with: settings, logs, stores, the broker."""
