"""Who types a command, as the audit names it."""

import os
import pwd
import socket


def actor() -> str:
    """`cli:<name>@<host>`."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container whose user has no name
        name = str(os.getuid())
    return f"cli:{name}@{socket.gethostname()}"
