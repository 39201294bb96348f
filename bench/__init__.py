"""Measurements of what is built, against what theory allows and others reach. Nothing here runs in production."""
