"""One module a command: its arguments, the question it asks in common/operations, and how the report reads."""
