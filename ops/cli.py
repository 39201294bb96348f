"""The command line `quotewell`. A command reads its arguments, calls an operation that the API calls too, and prints the report.

Every refusal is one sentence on stderr, with what to do; its exit code is in the help. A command's module is imported when the
command is given: the stores' clients take longer to import than all the rest, and `--help` needs none.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from common.errors import InvalidSettings, QuotewellError, StoreUnavailable
from ops.render import AWAY, DONE, REFUSED, WRONG, end

HELP = (
    "Operate Quotewell.\n\n"
    f"Exit codes: {DONE} done, {REFUSED} refused or not well, {WRONG} wrong usage or settings, {AWAY} a store is away, "
    "130 stopped by Ctrl-C."
)
LOOK, ACT, SET_UP = "Look", "Act", "Set up"
# name: where it is, what it does, its panel in the help
COMMANDS: Mapping[str, tuple[str, str, str]] = {
    "status": ("ops.commands.status:status", "Are quotes fresh, and does everything run?", LOOK),
    "symbols": ("ops.commands.symbols:app", "The wanted symbols: how much, how old, what went wrong.", LOOK),
    "budget": ("ops.commands.budget:app", "What the provider still allows, and who spent it.", LOOK),
    "calls": ("ops.commands.calls:calls", "The journal of calls, newest last.", LOOK),
    "line": ("ops.commands.calls:line", "What waits for a call, in the order in which it will be served.", LOOK),
    "audit": ("ops.commands.audit:audit", "Who did what, newest last.", LOOK),
    "plan": ("ops.commands.plan:plan", "The expected mean age of a price as it is read, in market-open minutes.", LOOK),
    "refresh": ("ops.commands.refresh:refresh", "Refresh symbols now, before background does.", ACT),
    "job": ("ops.commands.refresh:job", "Follow a refresh that was queued before.", ACT),
    "user": ("ops.commands.users:app", "Accounts: who may log in, and who operates.", ACT),
    "doctor": ("ops.commands.doctor:doctor", "Check everything, and say what to do.", SET_UP),
    "migrate": ("ops.commands.migrate:migrate", "Bring the database to this version's tables.", SET_UP),
}


class Commands(TyperGroup):
    """Holds the names; who resolves one gets the command itself."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] in COMMANDS:
            self.commands[args[0]] = load(args[0])
        return super().resolve_command(ctx, args)


def load(name: str) -> Any:
    """The command behind a name: a function becomes one, an app of several is one."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    found = getattr(import_module(module), attribute)
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(add_completion=False)
        alone.command(name)(found)
        found = alone
    return typer.main.get_command(found)


app = typer.Typer(cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=HELP)
for _name, (_, _help, _panel) in COMMANDS.items():
    app.command(_name, help=_help, rich_help_panel=_panel)(lambda: None)


def main() -> None:
    try:
        app()
    except InvalidSettings as error:
        end(WRONG, str(error))
    except StoreUnavailable as error:
        end(AWAY, str(error))
    except QuotewellError as error:
        end(REFUSED, str(error))


if __name__ == "__main__":
    main()
