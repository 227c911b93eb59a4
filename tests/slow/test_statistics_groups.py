"""P19: bounds on rows in groups, of rare total losses and of many arms, in all worlds."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "stats"))

import stats_groups as groups
import stats_lossy as lossy
import stats_many as several
import stats_worlds as worlds

pytestmark = pytest.mark.full
RUNS = 150


def allowed(share, runs=RUNS):
    return share + 3 * np.sqrt(share * (1 - share) / runs)


@pytest.mark.parametrize("world", groups.WORLDS)
def test_p19_groups(world):
    cell = groups.cell(np.random.default_rng([30, len(world)]), RUNS, world)
    assert max(cell["broken"], cell["broken below"]) <= allowed(0.05)
    assert cell["firm and wrong"] <= allowed(0.025)


@pytest.mark.parametrize("world", lossy.WORLDS)
def test_p19_rare_total_losses(world):
    cell = lossy.cell(np.random.default_rng([31, len(world)]), RUNS, world)
    assert max(cell["broken"], cell["broken below"]) <= allowed(0.05)
    assert cell["firm and wrong"] <= allowed(0.025)


@pytest.mark.parametrize("world", several.ONE)
def test_p19_several_arms_of_one_tool(world):
    rng = np.random.default_rng([32, len(world)])
    cell = several.cell(rng, RUNS, 250, several.ONE[world], worlds.FAR)
    assert cell["broken"] <= allowed(0.05)
    assert cell["firm and wrong"] <= allowed(0.025)
    assert cell["covers"] >= 0.95 - (allowed(0.05) - 0.05)
    if "equal" in world:
        assert cell["needless"] <= allowed(0.05)
    if world == "12 prompts, one +8":
        assert cell["firm"] >= 0.30  # 7 % where one finalist was chosen on dev rows
