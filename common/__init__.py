"""What two processes need. Nothing here knows who calls it."""

VERSION = "0.1.0"  # of all; tests/test_release.py names who repeats it
