"""What commands have in common of what is typed: options, verbs, and who types."""

import os
import pwd
import socket
from typing import Annotated

import typer

from common.errors import InvalidSettings

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def has_no_verb(context: typer.Context) -> bool:
    """Whether a command with verbs is typed without one. Options before a verb would be lost, so they are refused: `InvalidSettings`."""
    if context.invoked_subcommand is None:
        return True
    sources = {name: context.get_parameter_source(name) for name in context.params}
    if any(source is not None and source.name == "COMMANDLINE" for source in sources.values()):
        raise InvalidSettings(f"options: expected after `{context.invoked_subcommand}`, not before it")
    return False


def actor() -> str:
    """Who types the command, as the audit names it: `cli:<name>@<host>`."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container whose user has no name
        name = str(os.getuid())
    return f"cli:{name}@{socket.gethostname()}"
