"""P19: tweaks at the same cases: what paying by look keeps, and what no level pays for."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "stats"))

import stats_looks as looks
import stats_worlds as worlds

TIERS = [pytest.param(200, marks=pytest.mark.full), pytest.param(2000, marks=pytest.mark.long)]
WORLDS = [(n, rho) for n in (250, 400) for rho in (worlds.NEAR, worlds.FAR)]


def most(share, runs):
    """The largest share that `runs` studies of a true `share` reach by chance (3 errors)."""
    return share + 3 * np.sqrt(share * (1 - share) / runs)


@pytest.mark.parametrize("runs", TIERS)
@pytest.mark.parametrize(("n", "rho"), WORLDS)
def test_p19_tweaks_that_gain_nothing_are_not_named(n, rho, runs):
    found = dict(looks.cells(np.random.default_rng([26, n]), runs, n, rho))
    for name, cell in found.items():
        if "k-th, paid" not in cell:
            continue
        assert cell["k-th, paid"] <= most(0.02, runs), name
        assert cell["any, paid"] <= most(0.0525, runs), name
        assert cell["any, paid"] < cell["any, by look"] < cell["any, free"], name
        assert cell["any, free"] > 0.1, name  # the control: nothing paid
    for count in looks.SIZES:
        shut = found[f"tweaks kept, a fifth locked, {count} looks"]
        assert shut["unlocked once"] <= most(0.035, runs)


@pytest.mark.parametrize("runs", TIERS)
@pytest.mark.parametrize(("n", "rho"), WORLDS)
def test_p19_no_level_pays_for_failing_rows_that_were_read_but_locked_rows_show_it(n, rho, runs):
    found = dict(looks.cells(np.random.default_rng([27, n]), runs, n, rho))
    cell = found["failing rows memorised"]
    assert cell["memorised, named at look 10"] > 0.95
    assert cell["unlocked once"] <= most(0.035, runs)
