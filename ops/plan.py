"""What if: how old would prices be with so many symbols on such a budget? From the formulas, with no store at all."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from common.core.limits import parse_limits
from common.core.staleness import lower_bound, round_robin, session_rate, weight_classes, zipf
from common.errors import InvalidSettings

OurJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def plan(
    symbols: Annotated[int, typer.Option(min=1, max=100_000, help="How many symbols are wanted.")],
    budget: Annotated[str, typer.Option(help="The provider's limits, such as 5/min,500/d.")],
    zipf_exponent: Annotated[float, typer.Option("--zipf", min=0, max=3, help="How unequally they are read.")] = 1.0,
    interactive_share: Annotated[
        float, typer.Option(min=0, max=0.99, help="What a daily quota keeps for misses.")
    ] = 0.2,
    as_json: OurJson = False,
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
            f"{2 * row['mean_age_min']:.1f} min",
        )
    console.print(table)


def what_if(symbols: int, budget: str, exponent: float, interactive_share: float) -> dict[str, object]:
    """The answer as one JSON-able object; minutes and calls a minute."""
    weights = zipf(symbols, exponent)
    rate = session_rate(parse_limits(budget, "--budget"), symbols, interactive_share)
    if rate <= 0:
        raise InvalidSettings(f"--budget: {budget} leaves nothing for {symbols} symbols after the closing sweep")
    return {
        "symbols": symbols,
        "budget": budget,
        "calls_per_minute": rate,
        "mean_age_min": lower_bound(weights, rate),
        "round_robin_min": round_robin(weights, rate),
        "classes": [
            {"name": row.name, "first": row.first, "last": row.last, "reads": row.reads, "mean_age_min": row.age}
            for row in weight_classes(weights, rate)
        ],
    }
