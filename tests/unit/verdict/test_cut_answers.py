"""D3: answers that the token limit ended hold a dearer arm back where they may explain its lead."""

import numpy as np
import pytest
import verdict_scenes as scenes

from tuneworthy.records.evidence import Policy, TruncatedAnswers
from tuneworthy.verdict.decide import decide

PLAIN = Policy(margin=0.05)
N = 300
PRICES = {"usd_per_1k": 1.0, "build_usd": 0.0, "upkeep_usd_month": 0.0}


def scene(cut, name="prompt", prompt=0.6, tune=0.9):
    found = scenes.evidence({
        "majority": (None, scenes.scores(N, 0.2, 3)),
        "prompt": ("prompt", scenes.scores(N, prompt, 1)),
        "tune": ("tune", scenes.scores(N, tune, 2)),
    })  # fmt: skip
    arms = [a.model_copy(update={"cut": cut}) if a.name == name else a for a in found.arms]
    return found.model_copy(update={"arms": tuple(arms)})


def cut(gain, asked=16, gained=9):
    return TruncatedAnswers(n=120, wrong=110, asked=asked, gained=gained, gain=gain)


def test_a_dearer_arm_is_not_named_where_cut_answers_may_explain_its_lead():
    assert decide(scene(None), (), PLAIN).arm == "tune"
    verdict = decide(scene(cut(0.32)), (), PLAIN)
    assert (verdict.use, verdict.arm, verdict.status) == ("prompt", "prompt", "provisional")
    assert verdict.left_on_table.points > 0.3  # what the tuned arm may be better by as answered
    assert (
        "no dearer arm than `prompt` is named while its answers are cut" in verdict.because.lower()
    )
    assert "ended 120 of 300 answers" in verdict.because
    assert "9 of 16 scored higher" in verdict.because
    assert verdict.next.do == "raise output.max_tokens"


def test_cut_answers_that_can_not_close_the_gap_change_nothing():
    plain, few = decide(scene(None), (), PLAIN), decide(scene(cut(0.05)), (), PLAIN)
    assert (few.arm, few.status, few.because) == (plain.arm, plain.status, plain.because)


def test_cut_answers_of_the_dearer_arm_leave_the_simpler_one_named_but_not_firm():
    firm = decide(scene(None, tune=0.6), (), PLAIN)
    verdict = decide(scene(cut(0.3, asked=0, gained=0), "tune", tune=0.6), (), PLAIN)
    assert verdict.arm == firm.arm == "prompt"
    assert verdict.status == "provisional"
    assert "with longer answers another arm may be named" in verdict.because
    assert "asked again" not in verdict.because


def test_cut_answers_shake_the_verdict_that_nothing_beats_the_reference():
    found = scenes.evidence({
        "majority": (None, scenes.scores(N, 0.8, 3)), "prompt": ("prompt", np.zeros(N)),
        "tune": ("tune", np.zeros(N)),
    })  # fmt: skip
    arms = [
        a.model_copy(update={"cut": cut(0.95)}) if a.name == "prompt" else a for a in found.arms
    ]
    assert decide(found, (), PLAIN).use == "none"
    verdict = decide(found.model_copy(update={"arms": tuple(arms)}), (), PLAIN)
    assert (verdict.use, verdict.status) == ("none", "provisional")
    assert verdict.next.do == "raise output.max_tokens"


def lost_answers(kind, **policy):
    """Two arms with the same right answers of 200, and 8 answers that one of them lost."""
    right = np.r_[np.ones(150), np.zeros(50)]
    found = scenes.evidence({"prompt": ("prompt", right), "tune": ("tune", right)})
    lost = {
        "cut": {"cut": TruncatedAnswers(n=8, wrong=8, asked=0, gained=0, gain=0.04)},
        "failed": {"errors": 8, "score_if_right": 0.79},
        "none": {},
    }[kind]
    arms = [
        a.model_copy(update={**PRICES, **(lost if a.name == "tune" else {})}) for a in found.arms
    ]
    found = found.model_copy(update={"arms": tuple(arms)})
    return decide(found, (), Policy(margin=0.05, margin_is_default=False, **policy))


@pytest.mark.parametrize(
    ("kind", "step"),
    [("cut", "raise output.max_tokens"), ("failed", "answer the failed rows again")],
)
def test_lost_answers_that_could_gain_more_than_the_margin_leave_the_verdict_open(kind, step):
    assert lost_answers("none").status == "firm"
    verdict = lost_answers(kind)
    assert (verdict.arm, verdict.status) == ("prompt", "provisional")
    assert verdict.left_on_table.points > 0.05
    assert f"If the {kind} answers of `tune` were right, this would not be firm" in verdict.because
    assert "as the answers were scored, no other arm can be better" in verdict.because
    assert verdict.next.do == step
    assert "what is left to gain" in verdict.next.why
    assert verdict.next.rows == (8 if kind == "failed" else None)
    wide = {point.margin: point.status for point in verdict.by_margin}
    assert (wide[0.05], wide[0.1]) == ("provisional", "firm")


def test_lost_answers_leave_open_whether_a_gain_pays():
    prices = {"value_of_correct": 1.0, "requests_per_month": 1000.0}
    verdict = lost_answers("failed", **prices)
    assert "this would not be firm" in verdict.because
    assert "as the answers were scored, no other arm can gain enough" in verdict.because
