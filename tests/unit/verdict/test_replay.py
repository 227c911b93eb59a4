"""What of a settled study is done again, and what is taken as it was stored."""

from types import SimpleNamespace

import pytest
import verdict_scenes as scenes

from tuneworthy.records.answer import Answer, Unscored
from tuneworthy.records.case import Case, Message
from tuneworthy.records.errors import TaskError
from tuneworthy.records.evidence import Policy
from tuneworthy.records.settlement import SettlementLog
from tuneworthy.verdict import replay

STUDY = scenes.evidence({"a": ("prompt", scenes.scores(60, 0.7)),
                         "b": ("tune", scenes.scores(60, 0.8, 1))})  # fmt: skip


def test_what_was_not_settled_is_the_study_itself():
    plain = SimpleNamespace(course=None, evidence=STUDY)
    assert replay.results_before_settling(plain) is plain
    assert replay.settled_again(plain, STUDY, Policy(margin=0.05), None) == (STUDY, ())


def test_settled_results_without_their_clicks_are_refused():
    older = SimpleNamespace(course=None, evidence=SimpleNamespace(settled=object()))
    with pytest.raises(TaskError, match="clicks"):
        replay.results_before_settling(older)


def test_pairs_of_a_later_look_are_taken_as_stored_and_the_others_are_the_studys():
    first, *others = STUDY.pairs
    closer = first.model_copy(update={"level": first.level / 2, "high": first.mean})
    stored = STUDY.model_copy(update={"pairs": (closer, *others), "looks": 2})
    found = replay._as_stored(stored, STUDY, SettlementLog(looks=1, pool=0, new=0))
    assert found.pairs == (closer, *others)
    assert (found.looks, found.hash) == (2, STUDY.hash)


def test_without_a_metric_an_answer_has_no_score():
    case = Case(id="c", messages=(Message(role="user", content="hi"),), output="x")
    assert isinstance(replay._score_nothing(case, Answer(case="c", text="x")), Unscored)
