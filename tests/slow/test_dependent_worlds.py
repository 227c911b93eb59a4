"""P19: whole verdicts in worlds of dependent rows that are promised keep their promises."""

import importlib.util
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"
SILENT = (
    "hidden",
    "eight prompts",
    "rows added, hidden",
    "gold wrong for two arms | against the l",
)
"""Worlds that docs/why/error_rates.md does not promise: no row shows the dependence."""
QUICK = "rows added until firm | gap"


def bench():
    sys.path.insert(0, str(BENCH))
    spec = importlib.util.spec_from_file_location("bench_worlds", BENCH / "worlds.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks itself up
    spec.loader.exec_module(module)
    sys.path.remove(str(BENCH))
    return module


WORLDS = bench()
PROMISED = [name for name in WORLDS.cells() if not name.startswith(SILENT)]
TIERS = [
    pytest.param(QUICK, 50, marks=pytest.mark.full),
    *(pytest.param(name, 1000, marks=pytest.mark.long) for name in PROMISED),
]


@pytest.mark.parametrize(("name", "studies"), TIERS)
def test_p19_a_promised_world_keeps_its_promises(name, studies):
    found = WORLDS.cell(name, WORLDS.cells()[name], studies)
    for key, limit in {**WORLDS.LIMITS, "wrong": 0.036}.items():
        chance = (limit * (1 - limit) / studies) ** 0.5
        assert found[key][0] <= limit + 3 * chance, key


@pytest.mark.full
def test_p19_a_world_without_a_sign_of_its_clusters_breaks_the_bound():
    """Else the worlds could not tell a rule that allows for clusters from one that does not."""
    name = "hidden templates across named groups | gap"
    assert WORLDS.cell(name, WORLDS.cells()[name], 60)["left"][0] > 0.05
