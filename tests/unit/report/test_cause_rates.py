"""The rates that a report shows beside its causes are those that the benchmark measured."""

import json
import sys
from pathlib import Path

BENCH = Path(__file__).parents[3] / "bench"
sys.path.insert(0, str(BENCH))
from causes import FAILURE_COUNTS, published_rates  # noqa: E402

from tuneworthy.report.wrong_section import cause_rates  # noqa: E402

RESULTS = BENCH / "results" / "causes.json"


def test_the_rates_in_a_report_are_the_measured_ones():
    measured = published_rates(json.loads(RESULTS.read_text("utf-8")))
    shown = cause_rates()
    assert {key: shown[key] for key in measured} == measured
    assert [row["failures"] for row in shown["sizes"]] == list(FAILURE_COUNTS)
    assert all(row["first"]["n"] >= 100 <= row["false"]["n"] for row in shown["sizes"])
    named = {name for row in shown["named"].values() for name in row}
    assert named <= set(shown["columns"])
    assert len(shown["columns"]) == len(set(shown["columns"]))
