"""Calls and what waits for one."""
