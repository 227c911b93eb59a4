"""Arms that were scored on different cases are set beside each other by their paired difference."""

import pytest
from verdict_scenes import evidence, scores

from tuneworthy.records.counting import about_rows
from tuneworthy.records.evidence import Policy
from tuneworthy.verdict.rungs import build_ladder
from tuneworthy.verdict.worth import economics_of_arms

COSTS = {"usd_per_1k": 0.0, "build_usd": 0.0, "upkeep_usd_month": 0.0}
POLICY = Policy(margin=0.05, requests_per_month=1000, value_of_correct=1.0)


def net(n, drop_pairs=False, named="present"):
    """Return the net values beside what runs today, the tuned arm scored on `n` cases."""
    found = evidence({"present": ("keep", scores(100, 0.5), {"present": True, **COSTS}),
                      "tune": ("tune", scores(100, 0.9, 2), COSTS)})  # fmt: skip
    arms = tuple(
        one.model_copy(update={"n": n, "score": one.score.model_copy(update={"mean": 0.95})})
        if one.name == "tune" else one for one in found.arms
    )  # fmt: skip
    update = {"arms": arms, **({"pairs": ()} if drop_pairs else {})}
    board = build_ladder(found.model_copy(update=update), POLICY)
    arm = next((one for one in board.order if one.name == named), None)
    rows, _ = economics_of_arms(board, POLICY, arm)
    ends = {"present": board.order[0].score.mean, "gap": board.bound(*board.order[::-1])[0]}
    return {row["name"]: row["net_value_per_month"] for row in rows["arms"]}, ends


def test_the_mean_of_other_cases_is_not_set_beside_the_named_arms():
    same, _ = net(100)
    assert same["tune"] == pytest.approx(950)
    other, ends = net(80)
    assert other["tune"] == pytest.approx(1000 * (ends["present"] + ends["gap"]))
    assert other["present"] == same["present"]


def test_without_a_pair_or_a_named_arm_its_own_mean_is_all_there_is():
    assert net(80, drop_pairs=True)[0]["tune"] == pytest.approx(950)
    assert net(80, named=None)[0]["tune"] == pytest.approx(950)


def test_rows_are_said_as_one_number_where_they_hardly_differ():
    assert about_rows(80, 82) == "about 81 rows"
    assert about_rows(25, 125) == "25 to 125 rows"
