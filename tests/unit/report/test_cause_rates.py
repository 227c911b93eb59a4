"""The rates that a report shows beside its causes are those that the benchmark measured."""

import json
from pathlib import Path

from tuneworthy.report.wrong_section import FAILURE_COUNTS, cause_rates, published_rates

RESULTS = Path(__file__).parents[3] / "bench" / "results" / "causes.json"


def test_the_rates_in_a_report_are_the_measured_ones():
    measured = published_rates(json.loads(RESULTS.read_text("utf-8")))
    shown = cause_rates()
    assert {key: shown[key] for key in measured} == measured
    assert [row["failures"] for row in shown["sizes"]] == list(FAILURE_COUNTS)
    assert all(row["first"]["n"] >= 100 <= row["false"]["n"] for row in shown["sizes"])
    named = {name for row in shown["named"].values() for name in row}
    assert named <= set(shown["columns"])
    assert len(shown["columns"]) == len(set(shown["columns"]))
