"""The log's answers beside those of the study's arm: failures, right answers of a file."""

from tuneworthy.compare.columns import Column
from tuneworthy.core.answer import Answer, Score, Unscored
from tuneworthy.core.logged import LoggedRequest
from tuneworthy.core.run import Spec
from tuneworthy.core.split import Split
from tuneworthy.core.task import Data, Output, Task
from tuneworthy.data.answers import NO_ANSWER, NULL_ANSWER
from tuneworthy.metrics._validity import validity
from tuneworthy.watch.live_answers import StudyArm, validity_of

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
    return StudyArm(Column(spec, cells, {}, False, ()), Split(k=1, parts=()))


def requests(errors):
    return [LoggedRequest(input=f"question {at}", answer=None if error else "yes",
                          failed=bool(error), line=at + 1)
            for at, error in enumerate(errors)]  # fmt: skip


def test_a_failed_answer_is_not_valid_in_the_study_either():
    errors = [NULL_ANSWER if at % 10 == 0 else None for at in range(200)]
    found = validity_of(studied(errors), requests(errors), validity(LABELS), 0.005)
    assert (found.n_then, found.then.mean, found.now.mean) == (200, 0.9, 0.9)
    assert found.difference.mean == 0


def test_a_row_that_the_study_has_no_record_of_says_nothing_about_validity():
    arm = studied([NO_ANSWER, "timeout", *[None] * 8])
    assert arm.valid(0.005)[0] == 9
    assert arm.valid(0.005)[1][0] == 8 / 9
    assert studied([NO_ANSWER, "timeout"]).valid(0.005) is None
