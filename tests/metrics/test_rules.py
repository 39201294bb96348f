"""Alert rules as Prometheus itself reads and tests them (Debian's package prometheus brings promtool)."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.metrics.exposition import ROOT, asked, panels, rules

FOLDER = ROOT / "deploy/prometheus"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here: apt-get install prometheus")


def promtool(*arguments: str) -> str:
    """What it says; fails with it."""
    done = subprocess.run(
        [str(PROMTOOL), *arguments], cwd=FOLDER, check=False, capture_output=True, text=True, timeout=60
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def alerts() -> list[str]:
    return re.findall(r"- alert: (\w+)", rules())


@needs_promtool
def test_the_rules_are_well_formed() -> None:
    assert f"SUCCESS: {len(alerts())} rules found" in promtool("check", "rules", "rules.yml")


@needs_promtool
def test_the_example_configuration_finds_them() -> None:
    assert "1 rule files found" in promtool("check", "config", "prometheus.yml")


@needs_promtool
def test_each_alert_fires_when_it_should_and_only_then() -> None:
    assert "SUCCESS" in promtool("test", "rules", "rules_test.yml")


def test_each_alert_is_tested_both_ways() -> None:
    text = (FOLDER / "rules_test.yml").read_text()
    quiet = re.findall(r"^ +- \{.*alertname: (\w+)\}$", text, re.M)
    fires = re.findall(r"^ +alertname: (\w+)\n +exp_alerts:", text, re.M)

    assert sorted(alerts()) == sorted(set(quiet)) == sorted(set(fires))


def test_the_runbook_says_what_to_do_about_each_alert() -> None:
    rows = re.findall(r"^\| (Quotewell\w+) \|", (ROOT / "docs/runbook.md").read_text(), re.M)

    assert alerts() == rows


@needs_promtool
def test_the_queries_of_all_panels_are_well_formed(tmp_path: Path) -> None:
    """As rules, for a panel has no checker of its own."""
    queries = [query.replace("$__rate_interval", "1m") for query in panels()]
    records = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries)]
    path = tmp_path / "panels.yml"
    path.write_text(json.dumps({"groups": [{"name": "panels", "rules": records}]}))

    assert f"SUCCESS: {len(queries)} rules found" in promtool("check", "rules", str(path))


def test_no_query_lacks_a_metric_of_ours() -> None:
    assert [] == [query for query in panels() if not asked(query)]


def test_an_alert_tells_what_to_do() -> None:
    bodies = rules().split("- alert: ")[1:]

    assert [] == [body.split()[0] for body in bodies if "summary: " not in body or "description: " not in body]
    assert {"critical", "warning"} == set(re.findall(r"severity: (\w+)", rules()))
