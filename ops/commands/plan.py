"""What if: how old would prices be with this many symbols on this budget, and how long would a first quote take?

It needs no store: ages are from the formulas, times from the forecast that the API gives its readers."""

import json
from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from common.core.budget.staleness import lower_bound, round_robin, session_rate, weight_classes, zipf
from common.core.forecast.rehearsal import rehearse
from common.core.limits import MINUTE, parse_limits
from common.errors import InvalidSettings
from ops.arguments import AsJson


def plan(
    symbols: Annotated[int, typer.Option(min=1, max=100_000, help="How many symbols are wanted.")],
    budget: Annotated[str, typer.Option(help="The provider's limits, such as 5/min,500/d.")],
    zipf_exponent: Annotated[float, typer.Option("--zipf", min=0, max=3, help="How unequally they are read.")] = 1.0,
    interactive_share: Annotated[
        float, typer.Option(min=0, max=0.99, help="What a daily quota keeps for misses.")
    ] = 0.2,
    as_json: AsJson = False,
) -> None:
    """The expected mean age of a price as it is read, in market-open minutes."""
    answer = what_if(symbols, budget, zipf_exponent, interactive_share)
    if as_json:
        print(json.dumps(answer))
        return
    console = Console()
    console.print(
        f"{symbols} symbols on {budget}: {answer['calls_per_minute']:.3g} background calls a minute; "
        f"a price is {answer['mean_age_min']:.1f} min old as it is read ({answer['round_robin_min']:.1f} with round robin)"
    )
    table = Table("symbols", "ranks", "share of reads", "mean age", "refreshed every")
    for row in answer["classes"]:  # type: ignore[attr-defined]
        table.add_row(
            row["name"],
            f"{row['first']} to {row['last']}",
            f"{row['reads']:.0%}",
            f"{row['mean_age_min']:.1f} min",
            f"{row['refreshed_every_min']:.1f} min",
        )
    console.print(table)
    console.print(
        f"a first quote that somebody waits for takes about {answer['first_quote_s']:.0f} s while nobody else does"
    )


def what_if(symbols: int, budget: str, exponent: float, interactive_share: float) -> dict[str, object]:
    """The answer as one JSON-able object; minutes and calls a minute."""
    weights, limits = zipf(symbols, exponent), parse_limits(budget, "--budget")
    rate = session_rate(limits, symbols, interactive_share)
    if rate <= 0:
        raise InvalidSettings(f"--budget: {budget} leaves nothing for {symbols} symbols after the closing sweep")
    expected = rehearse(weights, limits, timedelta(minutes=1 / rate))
    return {
        "symbols": symbols,
        "budget": budget,
        "calls_per_minute": rate,
        "mean_age_min": lower_bound(weights, rate),
        "round_robin_min": round_robin(weights, rate),
        "first_quote_s": expected.first_quote.total_seconds(),
        "classes": [
            {
                "name": row.name,
                "first": row.first,
                "last": row.last,
                "reads": row.reads,
                "mean_age_min": row.age,
                "refreshed_every_min": expected.every((row.first + row.last) // 2) / MINUTE,
            }
            for row in weight_classes(weights, rate)
        ],
    }
