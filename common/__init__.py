"""Code that two or more processes share. It imports none of them."""

VERSION = "0.1.0"  # of everything; tests/test_release.py lists the files that repeat it
