"""Arms are ranked by paired differences: their own means may be of different cases."""

from tuneworthy.records.evidence import ArmResult, Evidence, Interval, Pair, best_first


def arm(name, mean, n=100):
    score = None if mean is None else Interval(mean=mean, low=0.0, high=1.0)
    return ArmResult(name=name, tool="tune", role="candidate", simplicity=0, options={},
                     state="measured", n=n, score=score)  # fmt: skip


def pair(one, other, mean):
    return Pair(arm=one, versus=other, n=80, mean=mean, low=-1.0, high=1.0, level=0.025, factor=1.0,
                wins=1, losses=1, differ=2)  # fmt: skip


def names(arms, *pairs):
    found = Evidence(task="t", hash="e", n=100, looks=1, alpha=0.05, arms=tuple(arms), pairs=pairs)
    return [one.name for one in best_first(found, arms)]


def test_the_paired_difference_goes_before_the_means():
    logged, fitted = arm("logged", 0.8), arm("fitted", 0.7, n=80)
    assert names([fitted, logged]) == ["logged", "fitted"]
    assert names([logged, fitted], pair("fitted", "logged", 0.05)) == ["fitted", "logged"]
    assert names([logged, fitted], pair("logged", "fitted", -0.05)) == ["fitted", "logged"]


def test_ties_keep_their_order_and_no_score_counts_as_none():
    assert names([arm("b", 0.5), arm("a", 0.5), arm("c", None)]) == ["b", "a", "c"]
    assert names([]) == []
