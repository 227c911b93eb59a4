"""The log's answers beside those of the study's arm: failures, right answers of a file."""

import numpy as np
import pytest
from tests.unit.handover.check_scenes import share_of

from tuneworthy.handover.live_answers import (
    StudyArm,
    score_of,
    slower_than,
    validity_of,
    with_gold,
)
from tuneworthy.matrix.columns import Column
from tuneworthy.metrics import scorer
from tuneworthy.metrics._validity import validity
from tuneworthy.records.answer import LOST_WORDS, Answer, Score, Unscored
from tuneworthy.records.case import Case, LoggedRequest, Message
from tuneworthy.records.run import Spec
from tuneworthy.records.split import Split
from tuneworthy.records.task import Data, Output, Success, Task
from tuneworthy.stats.bounds import mean_interval
from tuneworthy.stats.clusters import Groups

LABELS = Task(data=Data(file="a"), output=Output(type="label", labels=("yes", "no")))


def studied(errors):
    """The arm's answers "yes", or failures with these errors (None: answered)."""
    cells = {
        f"r{at}": (Answer(case=f"r{at}", text="", error=error), Unscored(reason=error))
        if error
        else (Answer(case=f"r{at}", text="yes"), Score(value=1, valid=True))
        for at, error in enumerate(errors)
    }
    spec = Spec(name="present", arm="present", tool=None)
    return StudyArm(Column(spec, cells, {}, False, ()), Split(k=1, parts=()), LABELS)


def requests(errors):
    return [LoggedRequest(input=f"question {at}", answer=None if error else "yes",
                          failed=bool(error), line=at + 1)
            for at, error in enumerate(errors)]  # fmt: skip


def test_a_failed_answer_is_not_valid_in_the_study_either():
    errors = [LOST_WORDS["null"] if at % 10 == 0 else None for at in range(200)]
    found = validity_of(studied(errors), requests(errors), validity(LABELS), 0.005)
    assert (found.n_then, found.then.mean, found.now.mean) == (200, 0.9, 0.9)
    assert found.difference.mean == 0


@pytest.mark.parametrize(("only_copies", "largest"), [(True, None), (False, None), (False, 20)])
def test_the_studys_share_has_the_bounds_of_the_study(only_copies, largest):
    ids = [f"r{at}" for at in range(200)]
    split = Split(k=1, parts=(), groups=dict.fromkeys(ids[:3], "r0"), only_copies=only_copies)
    data = LABELS.data.model_copy(update={"largest_group": largest})
    task = LABELS.model_copy(update={"data": data})
    plain = studied([LOST_WORDS["null"] if at % 10 == 0 else None for at in range(200)])
    arm = StudyArm(plain.column, split, task)
    values = [float(int(one[1:]) % 10 > 0) for one in arm.ids]
    groups = Groups([split.groups.get(one, one) for one in arm.ids], largest or 0, only_copies)
    assert arm.valid(0.005)[1] == mean_interval(values, 0.01, groups)
    assert arm.valid(0.005)[1][1] < plain.valid(0.005)[1][1]


def test_a_row_that_the_study_has_no_record_of_says_nothing_about_validity():
    arm = studied([LOST_WORDS["not recorded"], "timeout", *[None] * 8])
    assert arm.valid(0.005)[0] == 9
    assert arm.valid(0.005)[1][0] == 8 / 9
    assert studied([LOST_WORDS["not recorded"], "timeout"]).valid(0.005) is None


def gold_case(output, **more):
    asked = Message(role="user", content="question 0")
    return Case(id="gold", messages=(asked,), output=output, **more)


def scored(metric, case, answer, **request):
    task = Task(data=Data(file="a"), output=Output(type="text"), success=Success(metric=metric))
    asked = LoggedRequest(input="Question 0", answer=answer, line=1, **request)
    return score_of(None, with_gold([asked], {"question 0": case}), scorer(task), 0.01)


def test_a_request_is_scored_on_the_whole_row_of_right_answers():
    accepted = gold_case("unit alpha", accepted=("module beta",))
    assert scored("exact_words", accepted, "module beta").now.mean == 1
    rules = gold_case("You may return it within 30 days.", must_say=("30 days",))
    assert scored("must_say", rules, "Returns are possible within 30 days.").now.mean == 1
    assert scored("must_say", rules, "No.").now.mean == 0
    own = scored("exact_words", accepted, "module beta", output="another")
    assert own.now.mean == 0, "the request's own right answer comes first"


def test_an_answer_that_can_not_be_scored_gives_a_reason_and_a_lost_one_zero():
    bare = gold_case("You may return it within 30 days.")
    assert "line 1: the row has neither `must_say`" in scored("must_say", bare, "No.")
    assert scored("must_say", bare, None, failed=True).now.mean == 0


def test_slow_sessions_are_no_witnesses_for_each_of_their_requests():
    """Just 5 % of the sessions are slow, as the limit allows: .2 of such logs raised an alarm."""
    rng, alarms = np.random.default_rng(1), 0
    for _ in range(40):
        slow = rng.random(30) < 0.05
        log = [LoggedRequest(input=f"{at} {turn}", seconds=2.0 if slow[at] else 0.1,
                             group=str(at)) for at in range(30) for turn in range(20)]  # fmt: skip
        alarms += slower_than(1000, log, 0.005).low > 0.05
    assert alarms <= 1
    alone = [LoggedRequest(input=str(at), seconds=at % 2) for at in range(40)]
    assert slower_than(500, alone, 0.005) == share_of(20, 40, 0.005)
