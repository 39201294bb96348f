"""The pure part: no await, no clock, no environment; only the standard library, rapidfuzz and common.errors."""
