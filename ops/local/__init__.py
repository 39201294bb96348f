"""What `make run` starts on a developer's machine."""
