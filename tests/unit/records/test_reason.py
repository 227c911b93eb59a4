"""Test the reasons that are values, and how studies of older versions are read."""

import pytest

from tuneworthy.explain.comparison import _joined_notes
from tuneworthy.records.answer import Answer, Unscored
from tuneworthy.records.evidence import ArmResult
from tuneworthy.records.model import Reply
from tuneworthy.records.reason import Reason, Why
from tuneworthy.records.run import Run, Spec

SPEC = {"name": "own", "arm": "answers"}
ARM = {"name": "own", "tool": None, "role": "candidate", "simplicity": 0, "options": {},
       "state": "measured"}  # fmt: skip


def test_a_run_says_by_a_field_that_its_answers_were_recorded():
    plain = {"spec": SPEC, "seed": 0, "fold": 0, "state": "measured"}
    older = Run.model_validate(plain | {"notes": ["one", "recorded answers"]})
    assert (older.recorded, older.notes) == (True, ("one", "recorded answers"))
    now = Run(spec=Spec(**SPEC), seed=0, fold=0, state="measured", notes=older.notes, recorded=True)
    assert older == now == Run.model_validate(now.plain())
    assert str(_joined_notes([now])) == "one; recorded answers"
    assert not Run.model_validate(plain | {"notes": ["one"]}).recorded
    quoted = now.model_copy(update={"recorded": False})
    assert not Run.model_validate(quoted.plain()).recorded  # its words no longer decide


def test_the_result_of_an_arm_says_the_same():
    assert ArmResult.model_validate(ARM | {"because": "one; recorded answers"}).recorded
    assert not ArmResult.model_validate(ARM | {"because": "one"}).recorded
    said = ArmResult.model_validate(ARM | {"because": "recorded answers", "recorded": False})
    assert not said.recorded


def test_a_failure_that_may_pass_is_told_by_a_field():
    older = Answer.model_validate({"case": "a", "text": "", "error": "temporary failure: busy"})
    assert (older.lost, older.error) == ("for now", "temporary failure: busy")
    assert Answer.model_validate(older.plain()) == older
    quoted = Reply(text="", error="temporary failure: so said the server", lost=None)
    assert Reply.model_validate(quoted.plain()).lost is None  # its words do not decide
    told = {"case": "a", "text": "", "error": "no recorded answer"}
    assert Answer.model_validate(told) == Answer.missing("a", "not recorded").model_copy(
        update={"finish": None}
    )
    judged = {"reason": "the judge gave no verdict: temporary failure: busy"}
    assert Unscored.model_validate(judged).lost == "for now"
    assert Unscored(reason="the judge gave no verdict").lost is None
    run = {"spec": SPEC, "seed": 0, "fold": 0, "state": "measured"}
    note = "temporary failure: 1 of 9 dev answers did not come, and count as wrong"
    assert Run.model_validate(run | {"notes": [note]}).temporary_failures == 1
    asked = {"fingerprint": {"model": "m"}, "answers": [older.plain()], "scores": [judged]}
    assert Run.model_validate(run | asked).temporary_failures == 1
    assert Run.model_validate(run | asked | {"fingerprint": {}}).temporary_failures == 0


@pytest.mark.parametrize(
    ("said", "why", "about"),
    [
        ("the minutes have no room for it (budget.minutes)", Why.NO_ROOM, ""),
        ("its model can't be asked: down, here", Why.MODEL_UNAVAILABLE, "down, here"),
        ("needs peft: pip install 'tuneworthy[train]'", Why.NOT_INSTALLED, "tuneworthy[train]"),
        ("needs MiniLM: tuneworthy models get minilm (84 MB, once)", Why.NEEDS,
         "MiniLM (tuneworthy models get minilm)"),
        ("needs JSON answers (output.schema)", Why.NEEDS, "JSON answers"),
        ("scored on 1 of 5 folds: the minutes have no room for its other folds",
         Why.NO_ROOM_FOR_FOLDS, ""),
        ("no documents", Why.OTHER, ""),
    ],
)  # fmt: skip
def test_the_words_of_an_older_version_are_read_as_their_kind(said, why, about):
    found = ArmResult.model_validate(ARM | {"because": said}).because
    assert (found.why, found.about, str(found)) == (why, about, said)
    assert ArmResult.model_validate(ARM | {"because": found.plain()}).because == found
    assert ArmResult.model_validate(ARM | {"because": ""}).because is None
    kept = Reason.of(said)  # a reason that was written by now keeps its kind, whatever its words
    assert ArmResult.model_validate(ARM | {"because": kept.plain()}).because.why is Why.OTHER
