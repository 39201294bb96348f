"""Quotes and charts as they are shown: how fresh, and why not. Pure."""
