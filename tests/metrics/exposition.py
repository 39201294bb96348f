"""Metrics as exported, documented, and used by alerts and panels, in one form: a name and its labels."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[2]
SELECTOR = re.compile(r"\b((?:quotewell|process)_\w+)(?:\{([^}]*)\})?")
LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
ROW = re.compile(r"^\| `(quotewell_\w+)` \| (\w+) \|(.*?)\|(.*?)\|", re.M)
OF_PROMETHEUS = {"job", "instance"}  # every sample has these once it is scraped
OF_HISTOGRAMS = {"le"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a query wants of a sample."""

    name: str
    labels: frozenset[str]


@dataclass(frozen=True, slots=True)
class Documented:
    """A row of the table: what it is, its labels, and whose."""

    type: str
    labels: frozenset[str]
    of: str


def exported(text: str) -> dict[str, frozenset[str]]:
    """Labels by the name of a sample."""
    families = text_string_to_metric_families(text)
    return {sample.name: frozenset(sample.labels) for family in families for sample in family.samples}


def families(text: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Type and labels by a metric's name as it is documented; only our own, and only those with a sample."""
    found = {}
    for family in text_string_to_metric_families(text):
        if family.samples and family.name.startswith("quotewell_"):
            labels = {label for sample in family.samples for label in sample.labels} - OF_HISTOGRAMS
            found[family.name + "_total" * (family.type == "counter")] = (family.type, frozenset(labels))
    return found


def documented() -> dict[str, Documented]:
    """The table of docs/logs-and-metrics.md."""
    rows = ROW.findall((ROOT / "docs/logs-and-metrics.md").read_text())
    return {
        name: Documented(kind, frozenset(re.findall(r"`(\w+)`", labels)), of.strip()) for name, kind, labels, of in rows
    }


def asked(expression: str) -> set[Asked]:
    """What a query in PromQL selects."""
    found = SELECTOR.findall(expression)
    return {Asked(name, frozenset(LABEL.findall(matchers)) - OF_PROMETHEUS) for name, matchers in found}


def rules() -> str:
    """All rules, as text."""
    return (ROOT / "deploy/prometheus/rules.yml").read_text()


def panels() -> list[str]:
    """All queries of the dashboard."""
    board = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text())
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
