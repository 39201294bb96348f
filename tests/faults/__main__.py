"""`python -m tests.faults`: run all scenarios, and print their results as one JSON object in the last line."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

KINDS = ("over_limit_calls", "status_500", "lost_writes", "price_went_back")


class Summary:
    """The results that the scenarios recorded."""

    def __init__(self) -> None:
        self.scenarios = self.passed = self.attacks = 0
        self.counts: Counter[str] = Counter()
        self.slowest = {"usual": 0.0, "partition": 0.0, "held": 0.0}  # seconds of the slowest recovery of each kind

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            properties: dict[str, Any] = dict(report.user_properties)
            self.scenarios += 1
            self.attacks += "test_attacks.py" in report.nodeid
            self.passed += report.passed
            self.counts.update(properties.get("counts", {}))
            for kind, recovered in properties.get("recovered", {}).items():
                self.slowest[kind] = max(self.slowest[kind], *recovered.values())
                print(f"\n  {report.nodeid.partition('[')[2][:-1]}, {kind}: {_rounded(recovered)}", flush=True)
            if "figures" in properties:
                print(f"\n  {report.nodeid.rpartition('::')[2]}: {properties['figures']}", flush=True)
        elif report.failed:
            self.scenarios += 1

    def as_json(self) -> dict[str, Any]:
        return {
            "scenarios": self.scenarios,
            "attacks": self.attacks,
            "passed": self.passed,
            **{kind: self.counts[kind] for kind in KINDS},
            "worst_heal_s": round(self.slowest["usual"], 1),
            "partition_heal_s": round(self.slowest["partition"], 1),
            "held_heal_s": round(self.slowest["held"], 1),
        }


def _rounded(recovered: dict[str, float]) -> dict[str, float]:
    return {name: round(took, 1) for name, took in recovered.items()}


def main() -> int:
    summary, code = Summary(), 1
    try:
        arguments = ["-q", "-m", "faults or not faults", str(Path(__file__).parent), *sys.argv[1:]]
        code = int(pytest.main(arguments, plugins=[summary]))
    finally:  # pytest may raise at its end
        print(json.dumps(summary.as_json()), flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
