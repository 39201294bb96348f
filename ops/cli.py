"""The command line `quotewell`. It reads arguments, calls what the API calls too, and prints: a table for people, JSON for programs.

Exit codes: 0 done, 1 it could not be done now, 2 the arguments or the settings are wrong.
"""

import sys

import typer

from common.errors import InvalidSettings, QuotewellError
from ops import budget, plan

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Operate Quotewell.")
app.command("plan")(plan.plan)
app.add_typer(budget.app, name="budget")


def main() -> None:
    try:
        app()
    except QuotewellError as error:
        print(f"quotewell: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, InvalidSettings) else 1)


if __name__ == "__main__":
    main()
