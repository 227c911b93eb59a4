"""How often a planted cause is named at 60 failures, and how often none is invented (layer A)."""

import importlib.util
import sys
from pathlib import Path

import pytest

from tuneworthy.planted import tally

BENCH = Path(__file__).parents[2] / "bench"
FIRST = 1000


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(BENCH))
    spec = importlib.util.spec_from_file_location("bench_causes", BENCH / "causes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(BENCH))
    return module


@pytest.fixture(scope="module")
def plants(bench):
    return bench.planted(FIRST, 60) + bench.controls(FIRST, 60)


def rates(bench, plants, rule):
    return tally(bench.judged(one, rule) for one in plants)


@pytest.mark.full
def test_planted_causes_are_named_and_none_is_invented(bench, plants):
    told = rates(bench, plants, bench.as_it_is)
    assert told["all"]["right"]["n"] == 100
    assert told["all"]["right"]["share"] >= 0.95, told["all"]["misses"]
    assert told["false"]["share"] <= 0.05, told["causes"]["hard"]["misses"]


@pytest.mark.full
def test_without_placebos_or_gain_it_is_worse(bench, plants):
    """Else they would not earn their cost."""
    whole = rates(bench, plants, bench.as_it_is)
    bare = rates(bench, plants, bench.without_placebos)
    loose = rates(bench, plants, bench.without_gain)
    assert bare["all"]["right"]["share"] < whole["all"]["right"]["share"] - 0.05
    assert loose["false"]["share"] > whole["false"]["share"]
