"""Accounts from the operator's side: list them, make one, give it rights, lock it, delete it, and see what was done about it.

A password is asked for without echo, or read from stdin: an argument would stand in the shell's history and in the list of processes.
"""

import re
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import typer

from common.errors import InvalidSettings
from common.operations import user_reports, users
from common.operations.types import MAX_ID
from common.operations.user_reports import UserReport, UsersReport
from common.operations.users import UserChange
from common.store.accounts.users import EMAIL, USERNAME
from ops.arguments import AsJson, actor
from ops.render import REFUSED, Block, Column, end, pairs, render, table, when
from ops.stores import call

MAX_ACTS = 20  # that `show` prints
MAX_USERS = 500
COLUMNS = (
    Column("at", show=lambda act: when(datetime.fromisoformat(act.at))),
    Column("event"),
    Column("actor", "by"),
    Column("subject", "about", spare=1),
    Column("address", spare=2),
)

USER_COLUMNS = (
    Column("id", right=True),
    Column("username"),
    Column("email", spare=1),
    Column("scope", spare=3),
    Column("locked", show=lambda user: "yes" if user.locked else "no", spare=4),
    Column("symbols", right=True, spare=5),
    Column("open_logins", "logins", right=True, spare=6),
    Column("seen", show=lambda user: when(datetime.fromisoformat(user.seen_at)), spare=2),
)

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
    _check_names(username, email)
    password = _password(from_stdin=password_stdin)
    report = call(
        lambda resources: users.create_user(resources, username, email, password, operator=operator, by=actor())
    )
    render(report, _sentence, as_json=as_json)


@app.command("operator")
def operator(
    name: Name,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take it away, and end all logins.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give an account the scope operator, or take it away. Its next login or refresh has it."""
    _change(name, users.revoke if revoke else users.grant, as_json=as_json)


@app.command("lock")
def lock(name: Name, as_json: AsJson = False) -> None:
    """Let nobody log in to it, and end all its logins and API keys: it holds everywhere within a second."""
    _change(name, users.lock, as_json=as_json)


@app.command("unlock")
def unlock(name: Name, as_json: AsJson = False) -> None:
    """Open a locked account again."""
    _change(name, users.unlock, as_json=as_json)


@app.command("reset")
def reset(name: Name, password_stdin: FromStdin = False, as_json: AsJson = False) -> None:
    """Give an account another password, asked for twice, and end all its logins and API keys."""
    password = _password(from_stdin=password_stdin)
    _change(name, lambda change: users.reset_password(change, password), as_json=as_json)


@app.command("show")
def show(name: Name, as_json: AsJson = False) -> None:
    """Who it is, whether it is locked, its open logins, and the last acts about it, newest last."""
    report = call(lambda resources: user_reports.report_user(resources, name, most=MAX_ACTS))
    render(report, _show, as_json=as_json)


@app.command("list")
def list_users(
    begins: Annotated[str, typer.Option("--begins", help="Only whose username or email begins so.")] = "",
    after: Annotated[int, typer.Option("--after", min=0, max=MAX_ID, help="Only those behind this number.")] = 0,
    most: Annotated[int, typer.Option("--most", min=1, max=MAX_USERS, help="At most so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Who has an account, oldest first."""
    report = call(lambda resources: user_reports.report_users(resources, begins=begins, after=after, most=most))
    render(report, _show_users, as_json=as_json)


@app.command("delete")
def delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete an account and everything that is stored about it, and end its logins. It asks first, for this cannot be undone."""
    found = call(lambda resources: user_reports.report_user(resources, name, most=1))
    if not yes:
        _confirm(found.username, found.email)
    deleted = call(lambda resources: users.delete_user(resources, found.id, by=actor()))
    render(deleted, _sentence, as_json=as_json)


def _confirm(username: str, email: str) -> None:
    """Have the username typed; anything else ends the command."""
    if not sys.stdin.isatty():
        raise InvalidSettings("--yes: expected, for there is no terminal to ask whether to delete")
    if typer.prompt(f"Delete {username} ({email}) for good? Type the username", err=True) != username:
        end(REFUSED, "that is not the username; nothing was deleted")


def _show_users(report: UsersReport) -> Iterator[Block]:
    yield table(USER_COLUMNS, report.users) if report.users else "no account"
    yield f"\n{len(report.users)} of {report.total}" + (f"; further ones: --after {report.next}" if report.next else "")


def _check_names(username: str, email: str) -> None:
    """Refuse what a registration over HTTP would refuse too."""
    if not re.fullmatch(USERNAME, username):
        raise InvalidSettings(f"NAME: expected 3 to 32 letters, digits, dots, dashes or underscores, not {username!r}")
    if not re.fullmatch(EMAIL, email):
        raise InvalidSettings(f"EMAIL: expected an address such as ada@example.com, not {email!r}")


def _password(*, from_stdin: bool) -> str:
    """From stdin without its last line end."""
    try:
        given = sys.stdin.buffer.read().decode().removesuffix("\n").removesuffix("\r") if from_stdin else _prompt()
        given.encode()
    except UnicodeError as error:
        raise InvalidSettings("password: expected UTF-8") from error
    return given


def _prompt() -> str:
    if not sys.stdin.isatty():
        raise InvalidSettings("--password-stdin: expected, for there is no terminal to ask for a password")
    typed: str = typer.prompt("Password", hide_input=True, confirmation_prompt="Once more", err=True)
    return typed


def _change(name: str, step: users.Step, *, as_json: bool) -> None:
    report = call(lambda resources: users.change_user(resources, name, step, by=actor()))
    render(report, _sentence, as_json=as_json)


def _sentence(account: UserChange) -> str:
    events = ", ".join(event.replace("_", " ") for event in account.events) or "was so already, nothing changed"
    ended = f"; {account.logins_ended} logins ended" if account.logins_ended else ""
    keys = f"; {account.keys_ended} API keys ended" if account.keys_ended else ""
    return f"{account.username} ({account.id}): {events}{ended}{keys}"


def _show(account: UserReport) -> Iterator[Block]:
    yield pairs(
        (
            ("account", f"{account.username} ({account.id})"),
            ("email", account.email),
            ("made", when(datetime.fromisoformat(account.created_at))),
            ("scope", account.scope or "-"),
            ("locked", "yes" if account.locked else "no"),
            ("open logins", str(account.open_logins)),
            ("API keys", str(account.api_keys)),
        )
    )
    yield ""
    yield table(COLUMNS, reversed(account.acts))
