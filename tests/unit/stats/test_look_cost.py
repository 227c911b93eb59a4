"""What a look costs, what a locked share can show, and the worlds that say whether it suffices."""

import numpy as np
import pytest
import stats_looks as looks

from tuneworthy.matrix.look_text import level_text, look_line
from tuneworthy.matrix.sizing import level_at_next_look
from tuneworthy.stats import bounds, power
from tuneworthy.stats.look_cost import look_cost


def test_the_first_look_pays_nothing_and_all_together_half_of_alpha_more():
    assert [look_cost(look) for look in (1, 2, 3, 10)] == [1, 4, 12, 180]
    spent = [1 / look_cost(look) for look in range(1, 2000)]
    assert 1.499 < sum(spent) <= 1.5
    assert sum(1 / look for look in range(1, 11)) > 2.9  # what alpha / L would spend in ten
    with pytest.raises(ValueError, match="look 0"):
        look_cost(0)


def test_the_level_of_the_next_look_is_what_that_look_will_use():
    for look in (1, 2, 7):
        now, then = (bounds.level(0.05, at, 3) for at in (look, look + 1))
        assert level_at_next_look(now, look) == pytest.approx(then)
        assert then < now


def test_a_line_says_what_a_look_pays_and_what_no_level_pays():
    assert (level_text(1), level_text(3)) == (".05", ".05/12")
    assert look_line(1, "folder") == "1: no earlier study of this folder opened them"
    assert "on this machine" in look_line(1, "user")
    here, everywhere = look_line(2, "folder"), look_line(2, "user")
    assert ("this folder only" in here, "folder" in everywhere) == (True, False)
    assert "data.locked" in everywhere
    assert "data.locked" not in look_line(2, "user", locked=True)


@pytest.mark.parametrize(("n", "d", "gain"), [(50, 0.25, 0.1), (80, 0.2, 0.1), (30, 0.1, 0.2)])
def test_the_chance_to_show_a_gain_is_that_of_simulated_rows(n, d, gain):
    rng, runs = np.random.default_rng([n, 7]), 20_000
    differ, level = max(d, gain), 0.035
    draws = rng.multinomial(n, [(differ + gain) / 2, (differ - gain) / 2, 1 - differ], runs)
    kinds, counts = np.unique(draws[:, :2], axis=0, return_counts=True)
    low = bounds.discordant_bounds(kinds[:, 0], kinds[:, 1], n, level)[0]
    share = counts[np.asarray(low) > 0].sum() / runs
    assert power.exact_power(n, d, gain, level) == pytest.approx(share, abs=0.012)


def test_many_rows_are_sized_by_the_normal_law_which_agrees():
    exact, normal = (power.exact_power(n, 0.2, 0.05, 0.035) for n in (400, 401))
    assert exact == pytest.approx(normal, abs=0.02)
    assert power.exact_power(401, 0.2, 0.02, 0.035) < normal
    assert power.exact_power(50, 0.2, 0.1, 0.035 / 6) < power.exact_power(50, 0.2, 0.1, 0.035)
    for n, gain in ((0, 0.1), (50, 0.0)):
        with pytest.raises(ValueError, match="show nothing"):
            power.exact_power(n, 0.2, gain, 0.035)


def test_the_worlds_are_what_they_say():
    rng = np.random.default_rng(3)
    first, seen = looks.climbed(rng, 40, 200, 0.8, looks=5)
    assert (np.diff(seen.mean(2), axis=0) >= 0).all()  # kept only where the score rose
    assert abs(first.mean() - 0.75) < 0.03
    first, seen = looks.memorised(rng, 40, 200, 0.8, looks=3)
    assert (np.diff(seen.sum(2), axis=0) == looks.SHOWN).all()
    assert (seen[..., :40] == seen[:1, :, :40]).all()  # the locked fifth stays as it was
    assert looks.beats(np.ones((2, 50), bool), np.zeros((2, 50), bool), 0.01).all()


def test_there_is_a_cell_for_each_world_and_each_share_lies_between_0_and_1():
    found = dict(looks.cells(np.random.default_rng(1), 30, 100, 0.8))
    assert len(found) == 10
    shares = [share for cell in found.values() for share in cell.values()]
    assert all(0 <= share <= 1 for share in shares)
    assert found["failing rows memorised"]["memorised, named at look 10"] > 0.9
