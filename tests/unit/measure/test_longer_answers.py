"""D3: cut answers are asked again with more room, a sample first."""

import pytest

from tuneworthy.explain.arm_figures import cut_summary
from tuneworthy.matrix.design import Design
from tuneworthy.measure.latency import (
    MOST_LONGER_ANSWERS,
    SAMPLE_ANSWERS,
    rescore_cut_answers,
)
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.arm import Fitted
from tuneworthy.records.case import Case, Message, Query
from tuneworthy.records.errors import ModelError
from tuneworthy.records.run import Run, Spec

CASES = [Case(id=f"c{k:03}", messages=(Message(role="user", content="x"),), output="yes")
         for k in range(100)]  # fmt: skip
GOLD = {case.id: case for case in CASES}


def metric(case, answer):
    return Score(value=float(answer.text == case.output))


def pairs(cut_from=0, text="y"):
    out = []
    for k, case in enumerate(CASES):
        ended = "length" if k >= cut_from else "stop"
        out.append((Answer(case=case.id, text=text, finish=ended), Score(value=0.0)))
    return out


def asked(found, text="yes"):
    def longer(queries):
        found.append(len(queries))
        return [Answer(case=q.id, text=text) for q in queries]

    return Fitted(answer=lambda queries: [], learned=False, longer=longer)


def queries():
    return {c.id: Query(id=c.id, messages=c.messages) for c in CASES}


def test_a_sample_is_asked_first_and_more_only_where_one_gained():
    none, some = [], []
    flat = rescore_cut_answers(metric, GOLD, asked(none, "no"), (pairs(), queries()), 0)
    assert (none, set(flat.values())) == ([SAMPLE_ANSWERS], {0.0})
    rich = rescore_cut_answers(metric, GOLD, asked(some), (pairs(), queries()), 0)
    assert some[0] == SAMPLE_ANSWERS
    assert len(some) == 2
    assert MOST_LONGER_ANSWERS <= len(rich) <= SAMPLE_ANSWERS + MOST_LONGER_ANSWERS
    assert set(rich.values()) == {1.0}


def test_nothing_is_asked_where_no_answer_was_cut_or_the_arm_can_not_be_asked():
    found = []
    ended = [(a.model_copy(update={"finish": "stop"}), s) for a, s in pairs()]
    assert rescore_cut_answers(metric, GOLD, asked(found), (ended, queries()), 0) == {}
    right = [(a, Score(value=1.0)) for a, _ in pairs()]
    assert rescore_cut_answers(metric, GOLD, asked(found), (right, queries()), 0) == {}
    still = Fitted(answer=lambda queries: [], learned=False)
    assert rescore_cut_answers(metric, GOLD, still, (pairs(), queries()), 0) is None
    assert found == []


def test_a_model_that_can_not_be_asked_again_leaves_all_open_and_says_so():
    def moved(queries):
        raise ModelError("the endpoint changed the model", got="m-1, then m-2")

    said, fitted = [], Fitted(answer=lambda queries: [], learned=False, longer=moved)
    found = rescore_cut_answers(metric, GOLD, fitted, (pairs(), queries()), 0, said.append)
    assert found == {}
    assert said == ["cut answers were not asked again: the endpoint changed the model"
                    " (m-1, then m-2)"]  # fmt: skip
    cells = {answer.case: (answer, score) for answer, score in pairs()}
    assert cut_summary([run(found)], cells, alone).gain == 1.0, (
        "more room could have made all of them right"
    )


def test_a_longer_answer_without_a_score_shows_no_lack_of_a_gain():
    def lost(case, answer):
        return Unscored(reason="the judge gave no verdict")

    assert rescore_cut_answers(lost, GOLD, asked([]), (pairs(), queries()), 0) == {}


def test_the_first_fold_alone_asks():
    found = []
    assert rescore_cut_answers(metric, GOLD, asked(found, "no"), (pairs(), queries()), 3) == {}
    assert found == []
    rescore_cut_answers(metric, GOLD, asked(found, "no"), (pairs(), queries()), 0)
    assert found == [16]


def run(longer):
    return Run(spec=Spec(name="a", arm="a"), seed=0, fold=None, state="measured", longer=longer)


alone = Design()
by_fifty = Design({f"c{at:03}": at // 50 for at in range(100)})


def cells(cut_from):
    return {answer.case: (answer, score) for answer, score in pairs(cut_from)}


def test_what_the_limit_may_have_cost_is_bounded_by_what_was_asked_again():
    assert cut_summary([run({})], cells(100), alone) is None
    unknown = cut_summary([run({})], cells(80), alone)
    assert (unknown.n, unknown.wrong, unknown.asked, unknown.gain) == (20, 20, 0, 0.2)
    right = {f"c{k:03}": float(k < 85) for k in range(80, 100)}
    whole = cut_summary([run(right)], cells(80), alone)
    assert (whole.asked, whole.gained, whole.gain) == (20, 5, 0.05)
    part = cut_summary([run({f"c{k:03}": 0.0 for k in range(0, 100, 5)})], cells(0), alone)
    assert (part.asked, part.gained) == (20, 0)
    assert 0.8 * 0.13 < part.gain < 0.8 * 0.15  # none of 20: 13.9 % at most
    grouped = cut_summary([run({f"c{k:03}": 0.0 for k in range(0, 100, 5)})], cells(0), by_fifty)
    assert grouped.gain > 0.8 * 0.7, "two groups of ten rows say little of others"
    text = {"c099": (Answer(case="c099", text="", finish="length"), Unscored(reason="x"))}
    assert cut_summary([run({})], text, alone).gain == pytest.approx(1.0)
    # the arm is cut like that where it runs
    assert cut_summary([run(None)], text, alone).gain == 0.0
