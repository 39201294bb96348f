"""Accounts from the operator's side: make one, give it rights, lock it, and see what was done about it.

A password is asked for without echo, or read from stdin: an argument would stand in the shell's history and in the list of processes.
"""

import asyncio
import sys
from typing import Annotated

import typer
from rich.console import Console

from common.errors import InvalidSettings
from common.store.accounts.audit import Entry
from common.store.accounts.users import User
from ops import accounts
from ops.accounts import Change, Sight
from ops.terminal import AsJson, Cell, Column, open_console, print_json, print_pairs, print_table, when

ACTS = 20  # that `show` tells
COLUMNS = (Column("at"), Column("event"), Column("by"), Column("about", spare=1), Column("address", spare=2))

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Accounts: who may log in, and who operates.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Username or email.")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin.")]


@app.command("create")
def create(
    username: Annotated[
        str, typer.Argument(metavar="NAME", help="3 to 32 letters, digits, dots, dashes, underscores.")
    ],
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="An address such as ada@example.com.")],
    operator: Annotated[bool, typer.Option("--operator", help="Give it the scope operator.")] = False,
    password_stdin: FromStdin = False,
    as_json: AsJson = False,
) -> None:
    """Make an account; its password is asked for twice."""
    accounts.check_names(username, email)
    password = _password(from_stdin=password_stdin)
    _tell(asyncio.run(accounts.create(username, email, password, operator=operator)), as_json=as_json)


@app.command("operator")
def operator(
    name: Name,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take it away, and end all logins.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give an account the scope operator, or take it away. Its next login or refresh has it."""
    _tell(asyncio.run(accounts.revoke(name) if revoke else accounts.grant(name)), as_json=as_json)


@app.command("lock")
def lock(name: Name, as_json: AsJson = False) -> None:
    """Let nobody log in to it, and end all its logins: it holds everywhere within a second."""
    _tell(asyncio.run(accounts.lock(name)), as_json=as_json)


@app.command("unlock")
def unlock(name: Name, as_json: AsJson = False) -> None:
    """Open a locked account again."""
    _tell(asyncio.run(accounts.unlock(name)), as_json=as_json)


@app.command("reset")
def reset(name: Name, password_stdin: FromStdin = False, as_json: AsJson = False) -> None:
    """Give an account another password, asked for twice, and end all its logins."""
    password = _password(from_stdin=password_stdin)
    _tell(asyncio.run(accounts.reset(name, password)), as_json=as_json)


@app.command("show")
def show(name: Name, as_json: AsJson = False) -> None:
    """Who it is, whether it is locked, its open logins, and the last acts about it, newest last."""
    sight = asyncio.run(accounts.look_at(name, most=ACTS))
    if as_json:
        print_json(_sight(sight))
    else:
        _print_sight(open_console(), sight)


def _password(*, from_stdin: bool) -> str:
    """From stdin without its last line end."""
    try:
        given = sys.stdin.buffer.read().decode().removesuffix("\n").removesuffix("\r") if from_stdin else _ask()
        given.encode()
    except UnicodeError as error:
        raise InvalidSettings("password: expected UTF-8") from error
    return given


def _ask() -> str:
    if not sys.stdin.isatty():
        raise InvalidSettings("--password-stdin: expected, for there is no terminal to ask for a password")
    typed: str = typer.prompt("Password", hide_input=True, confirmation_prompt="Once more", err=True)
    return typed


def _tell(change: Change, *, as_json: bool) -> None:
    if as_json:
        print_json({**_shape(change.user), "events": change.events, "logins_ended": change.ended})
        return
    told = ", ".join(event.replace("_", " ") for event in change.events) or "was so already, nothing changed"
    ended = f"; {change.ended} logins ended" if change.ended else ""
    print(f"{change.user.username} ({change.user.id}): {told}{ended}")


def _shape(user: User) -> dict[str, object]:
    return {
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "created_at": user.created_at.isoformat(),
        "scope": user.scope,
        "locked": user.locked,
    }


def _sight(sight: Sight) -> dict[str, object]:
    return {**_shape(sight.user), "open_logins": sight.open_logins, "acts": [_act(entry) for entry in sight.acts]}


def _act(entry: Entry) -> dict[str, object]:
    return {
        "at": entry.at.isoformat(),
        "event": entry.act.event,
        "actor": entry.act.actor,
        "address": entry.act.address,
        "subject": entry.act.subject,
        "request_id": entry.act.request_id,
    }


def _print_sight(console: Console, sight: Sight) -> None:
    user = sight.user
    pairs: list[tuple[str, Cell]] = [
        ("account", f"{user.username} ({user.id})"),
        ("email", user.email),
        ("made", when(user.created_at)),
        ("scope", user.scope or "-"),
        ("locked", "yes" if user.locked else "no"),
        ("open logins", str(sight.open_logins)),
    ]
    print_pairs(console, pairs)
    console.print()
    print_table(console, COLUMNS, [_row(entry) for entry in reversed(sight.acts)])


def _row(entry: Entry) -> list[Cell]:
    act = entry.act
    return [when(entry.at), act.event, act.actor, act.subject or "-", act.address or "-"]
