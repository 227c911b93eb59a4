"""How often a planted cause is named at 60 failures, and how often none is invented (layer A)."""

import importlib.util
import sys
from functools import cache
from pathlib import Path

import pytest
from tests.planted import confusion_summary

BENCH = Path(__file__).parents[2] / "bench"
FIRST = 2000


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(BENCH))
    spec = importlib.util.spec_from_file_location("bench_causes", BENCH / "causes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(BENCH))
    return module


@pytest.fixture(scope="module")
def controls(bench):
    """Return what the controls are called under a rule; each is planted and judged once."""
    plants = bench.controls(FIRST, 60)
    return cache(
        lambda rule: confusion_summary(bench.judged(one, bench.RULES[rule]) for one in plants)
    )


@pytest.mark.long
def test_planted_causes_are_named(bench):
    told = confusion_summary(bench.judged(one) for one in bench.planted(FIRST, 60))
    misses = told["all"]["misses"]
    assert told["all"]["right"]["n"] == 100
    assert told["all"]["right"]["share"] >= 0.92, misses
    assert told["all"]["likely"]["share"] >= 0.95, misses


@pytest.mark.long
def test_no_cause_is_invented_on_controls(controls):
    told = controls("as it is")
    assert told["false"]["share"] <= 0.05, told["causes"]
    assert told["causes"]["hard"]["right"]["share"] == 1.0


@pytest.mark.long
def test_without_placebos_a_mere_change_of_prompt_is_taken_for_a_cause(controls):
    """Else placebos would not earn their cost."""
    whole, bare = (controls(rule)["false"] for rule in ("as it is", "without placebos"))
    assert whole["high"] < bare["low"]


@pytest.mark.long
def test_without_gain_more_remedies_act_on_controls(controls):
    whole, loose = (controls(rule) for rule in ("as it is", "without gain"))
    assert loose["any acts"]["k"] > whole["any acts"]["k"]
