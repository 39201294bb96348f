"""The pure part: no await, no clock, no environment; standard library and common.errors only."""
