"""`python -m tests.faults`: all scenarios, and what came of them as one JSON object in the last line."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

KINDS = ("over_limit_calls", "status_500", "lost_writes", "price_went_back")


class Verdict:
    """What the scenarios recorded."""

    def __init__(self) -> None:
        self.scenarios = self.passed = self.attacks = 0
        self.counts: Counter[str] = Counter()
        self.heal = {"usual": 0.0, "apart": 0.0, "held": 0.0}  # the worst of each way to heal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            told: dict[str, Any] = dict(report.user_properties)
            self.scenarios += 1
            self.attacks += "test_attacks.py" in report.nodeid
            self.passed += report.passed
            self.counts.update(told.get("counts", {}))
            for kind, healed in told.get("healed", {}).items():
                self.heal[kind] = max(self.heal[kind], *healed.values())
                print(f"\n  {report.nodeid.partition('[')[2][:-1]}, {kind}: {_rounded(healed)}", flush=True)
            if "figures" in told:
                print(f"\n  {report.nodeid.rpartition('::')[2]}: {told['figures']}", flush=True)
        elif report.failed:
            self.scenarios += 1

    def told(self) -> dict[str, Any]:
        return {
            "scenarios": self.scenarios,
            "attacks": self.attacks,
            "passed": self.passed,
            **{kind: self.counts[kind] for kind in KINDS},
            "worst_heal_s": round(self.heal["usual"], 1),
            "partition_heal_s": round(self.heal["apart"], 1),
            "held_heal_s": round(self.heal["held"], 1),
        }


def _rounded(healed: dict[str, float]) -> dict[str, float]:
    return {name: round(took, 1) for name, took in healed.items()}


def main() -> int:
    verdict, code = Verdict(), 1
    try:
        arguments = ["-q", "-m", "faults or not faults", str(Path(__file__).parent), *sys.argv[1:]]
        code = int(pytest.main(arguments, plugins=[verdict]))
    finally:  # pytest raises what it finds when all has ended
        print(json.dumps(verdict.told()), flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
