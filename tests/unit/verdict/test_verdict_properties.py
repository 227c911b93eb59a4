"""For any evidence: margins only lower the rung, order is nothing, nulls have reasons."""

import json
import math

from hypothesis import given, settings
from hypothesis import strategies as st
from verdict_scenes import RANK, arm, mirrored

from tuneworthy.records.evidence import Evidence, Pair, Policy
from tuneworthy.records.task import TOOLS
from tuneworthy.verdict.decide import decide
from tuneworthy.verdict.missing import null_paths

share = st.integers(-50, 50).map(lambda k: k / 100)
price = st.one_of(st.none(), st.floats(0.01, 5))


@st.composite
def studies(draw):
    n = draw(st.integers(5, 60))
    tools = draw(st.lists(st.sampled_from(TOOLS), min_size=0, max_size=4, unique=True))
    arms, pairs = [], []
    for tool in tools:
        right = draw(st.integers(0, n))
        arms.append(
            arm(tool, tool, right, n, usd_per_1k=draw(price), build_usd=draw(price),
                upkeep_usd_month=draw(price), seed_sd=draw(st.sampled_from([None, 0.03])),
                present=draw(st.booleans()) and not any(a.present for a in arms),
                limits=draw(st.sampled_from([{}, {"valid": "violated"}, {"valid": "not shown"}])))
        )  # fmt: skip
        if draw(st.booleans()):
            up = min(1.0, right / n + draw(st.floats(0, 0.3)))
            arms[-1] = arms[-1].model_copy(update={"score_if_right": up})
    if draw(st.booleans()):
        arms.append(arm("majority", None, draw(st.integers(0, n)), n, role="reference"))
    for i, b in enumerate(arms):
        for s in arms[i + 1 :]:
            mean, width = draw(share), draw(st.floats(0, 0.4))
            one = Pair(
                arm=b.name,
                versus=s.name,
                n=n,
                mean=mean,
                low=mean - width,
                high=mean + width,
                level=0.0125,
                factor=1.0,
                wins=1,
                losses=1,
                differ=draw(st.integers(0, n)),
                apart=draw(st.sampled_from([None, 3])),
            )
            if draw(st.integers(0, 9)):  # fmt: skip
                pairs += [one, mirrored(one)]
    found = Evidence(
        task="t", hash="h", n=n, looks=draw(st.integers(1, 3)), alpha=0.05, arms=tuple(arms),
        pairs=tuple(pairs), pool=draw(st.sampled_from([0, 10**6])),
        blocks=draw(st.sampled_from([(), (), (), ("a leak",)])), limited=draw(st.booleans()),
    )  # fmt: skip
    policy = Policy(
        margin=draw(st.sampled_from([0.01, 0.05, 0.1])), motive=draw(st.sampled_from(
            ["quality", "cost"])), target=draw(st.sampled_from([None, 0.5])),
        floor=draw(st.sampled_from([None, 0.3])), value_of_correct=draw(price),
        requests_per_month=draw(st.sampled_from([None, 1e5])),
        label_each=draw(price), margin_is_default=draw(st.booleans()),
    )  # fmt: skip
    return found, policy


def agreeing(found):
    """Return the pairs of all arms, each mean the difference of the arms' scores."""
    score = {one.name: one.score.mean for one in found.arms}
    pairs = []
    for pair in found.pairs:
        mean, width = score[pair.arm] - score[pair.versus], pair.high - pair.mean
        ends = {"mean": mean, "low": mean - width, "high": mean + width}
        pairs.append(pair.model_copy(update=ends))
    return tuple(pairs)


def height(verdict_point):
    return -1 if verdict_point.arm is None else RANK[verdict_point.arm]


@settings(max_examples=60, deadline=None)
@given(studies())
def test_every_null_has_a_reason_and_no_number_is_nan(study):
    verdict = decide(study[0], (), study[1])
    plain = verdict.plain()
    json.loads(json.dumps(plain, allow_nan=False))
    pointers = {"/" + "/".join(str(part) for part in path) for path in null_paths(plain)}
    empty = set() if plain["wrong"] else {"/wrong"}  # nothing there is explained as well
    assert pointers | empty == set(plain["missing"])
    assert all(plain["missing"].values())
    assert verdict.because
    assert verdict.next.why
    if verdict.left_on_table:
        assert 0 <= verdict.left_on_table.points <= 1
    if verdict.status != "blocked" and verdict.use != "none":
        assert verdict.arm is not None


@settings(max_examples=40, deadline=None)
@given(studies(), st.randoms())
def test_the_order_of_arms_and_pairs_is_nothing(study, rng):
    found, policy = study
    arms, pairs = list(found.arms), list(found.pairs)
    rng.shuffle(arms)
    rng.shuffle(pairs)
    other = found.model_copy(update={"arms": tuple(arms), "pairs": tuple(pairs)})
    assert decide(other, (), policy) == decide(found, (), policy)


@settings(max_examples=40, deadline=None)
@given(studies())
def test_a_larger_margin_never_climbs_higher(study):
    """Each pair's mean is the difference of two scores, as on shared rows.

    Means that contradict each other (A above B, B above C, C above A) leave no best arm.
    """
    found, policy = study
    plain = policy.model_copy(update={"motive": "quality"})
    bare = found.model_copy(update={"blocks": (), "pairs": agreeing(found), "arms": tuple(
        a for a in found.arms if a.role == "candidate")})  # fmt: skip
    heights = [height(point) for point in decide(bare, (), plain).by_margin]
    assert heights == sorted(heights, reverse=True)


@settings(max_examples=40, deadline=None)
@given(studies())
def test_firm_means_that_no_rival_can_gain_more_than_the_margin(study):
    found, policy = study
    policy = policy.model_copy(update={"motive": "quality", "value_of_correct": None})
    verdict = decide(found, (), policy)
    if verdict.status == "firm":
        assert verdict.left_on_table.points <= policy.margin
    elif verdict.left_on_table and not found.limited and verdict.use != "none":
        shaken = "failed answers" in verdict.because
        short = "itself is not shown better than" in verdict.because
        narrow = "Neither a prompt nor a tuned model was measured" in verdict.because
        assert shaken or short or narrow or verdict.left_on_table.points > policy.margin
    assert not math.isnan(verdict.by_margin[0].margin)
