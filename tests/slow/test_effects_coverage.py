"""Where passed cases are a sample, the interval of net still covers what all of them would show."""

import numpy as np
import pytest

from tuneworthy.explain.effects import effect
from tuneworthy.records.causes import BaseOutcomes, Intervention

FAILS, PASSES, SAMPLE = 60, 600, 60
RESCUE, BESIDE, HARM, HARM_BESIDE = 0.5, 0.1, 0.04, 0.06
TRUTH = FAILS * (RESCUE - BESIDE) - PASSES * (HARM - HARM_BESIDE)


def drawn(rng, asked):
    fails = tuple(f"f{i}" for i in range(FAILS))
    passes = tuple(f"p{i}" for i in range(PASSES))
    own = dict(zip(fails, rng.random(FAILS) < RESCUE, strict=True))
    other = dict(zip(fails, rng.random(FAILS) < BESIDE, strict=True))
    own |= dict(zip(passes[:asked], rng.random(asked) >= HARM, strict=True))
    other |= dict(zip(passes[:asked], rng.random(asked) >= HARM_BESIDE, strict=True))
    column = Intervention(
        name="x", remedy="format", placebo="y",
        passed={c: bool(v) for c, v in own.items()},
        placebo_passed={c: float(v) for c, v in other.items()},
    )  # fmt: skip
    return effect(BaseOutcomes(arm="present", fails=fails, passes=passes), column).net


@pytest.mark.full
@pytest.mark.parametrize("asked", [SAMPLE, PASSES])
def test_net_covers_the_truth(asked):
    rng = np.random.default_rng(asked)
    found = [drawn(rng, asked) for _ in range(600)]
    covered = np.mean([one.low <= TRUTH <= one.high for one in found])
    assert 0.93 <= covered <= 0.995
    assert np.mean([one.mean for one in found]) == pytest.approx(TRUTH, abs=2)


@pytest.mark.full
def test_the_width_of_all_cases_would_not_cover_with_a_sample():
    """The control: as if 60 passed cases told as much as 600."""
    rng = np.random.default_rng(7)
    width = np.mean([one.high - one.low for one in (drawn(rng, PASSES) for _ in range(50))])
    means = [drawn(rng, SAMPLE).mean for _ in range(300)]
    assert np.mean(np.abs(np.array(means) - TRUTH) <= width / 2) < 0.9
