"""D4, one bad answer ends no study: half of a character pair, a metric that loops."""

from functools import partial

import pytest
from rich.console import Console
from tests import studies

from tuneworthy.flows.study import RunOptions, run
from tuneworthy.metrics import _user
from tuneworthy.models.scripted import Scripted
from tuneworthy.records.answer import Answer, Unscored
from tuneworthy.records.case import Message
from tuneworthy.records.errors import TaskError
from tuneworthy.records.model import Reply
from tuneworthy.report import results_folder as shelf
from tuneworthy.report.exports import answers_csv, junit_xml

CUT = "refund \ud83d"  # a server cut an emoji in two
OWN = "def score(case, answer):\n    print(answer)\n    return float(case['output'] in answer)\n"


@pytest.mark.parametrize("metric", ["rouge_l", "./m.py:score"])
def test_d4_an_answer_that_is_cut_inside_a_character_is_scored_and_reported(metric, tmp_path):
    path = studies.write(
        tmp_path,
        arms=["majority", "zero_shot", "few_shot", "constrained"],
        output={"type": "text", "max_tokens": 8},
        success={"metric": metric},
    )
    (tmp_path / "m.py").write_text(OWN)
    studies.lines(tmp_path / "replies.jsonl", [{"when": "", "say": CUT}])
    study = run(path, RunOptions(brief=True))
    said = {a.text for r in study.results.runs if r.spec.arm == "zero_shot" for a in r.answers}
    assert said == {"refund \ufffd"}
    assert (
        run(path, RunOptions(brief=True)).results
        == study.results
        == shelf.read_results(study.folder)
    )
    for text in (answers_csv(study.results), junit_xml(study.results)):
        text.encode("utf-8")
    Console(width=100).print(study.table())


def test_d4_a_half_pair_becomes_the_mark_for_what_is_no_character():
    assert Reply(text=CUT, error=CUT).text == Reply(text="", error=CUT).error == "refund \ufffd"
    assert Answer(case="c", text="", samples=(CUT,)).samples == ("refund \ufffd",)
    assert Unscored(reason=CUT).reason == "refund \ufffd"
    assert Message(role="user", content="\ud83d\ude00 é").content == "😀 é"  # two halves are one
    assert Reply(text="naïve 😀").text == "naïve 😀"


def test_d4_results_that_hold_half_a_pair_elsewhere_are_written_and_read(tmp_path):
    study = run(studies.write(tmp_path, arms=studies.LIGHT))
    case = study.results.cases[0].model_copy(update={"meta": {"note": CUT}})
    held = study.results.model_copy(update={"cases": (case, *study.results.cases[1:])})
    folder = shelf.write_results(held, tmp_path, "half" * 4)
    assert shelf.read_results(folder).cases[0].meta["note"] == CUT


@pytest.fixture
def hasty(monkeypatch):
    """A metric of the user's has a third of a second for each call."""
    monkeypatch.setattr(
        "tuneworthy.metrics.load_user_metric", partial(_user.load_user_metric, seconds=0.3)
    )


def own_metric(folder, loops, **task):
    path = studies.write(
        folder, arms=["majority", "zero_shot"], success={"metric": "./m.py:score"}, **task
    )
    (folder / "m.py").write_text(
        f"def score(case, answer):\n    while {loops}: pass\n"
        "    return float(case['output'] == answer)\n"
    )
    return path


@pytest.mark.usefixtures("hasty")
def test_d4_a_metric_that_loops_on_one_row_leaves_that_case_unscored(tmp_path):
    study = run(own_metric(tmp_path, "case['id'] == 'r3'"), RunOptions(brief=True))
    assert study.verdict.status != "blocked"
    lost = [
        answer.case
        for run_ in study.results.runs
        for answer, score in zip(run_.answers, run_.scores, strict=True)
        if isinstance(score, Unscored)
    ]
    assert set(lost) == {"r3"}


@pytest.mark.usefixtures("hasty")
def test_d4_a_metric_that_never_ends_stops_the_run_and_keeps_its_answers(tmp_path, monkeypatch):
    reply, asked = Scripted.reply, []

    def counted(self, prompts, limits):
        if len(prompts) > 1 and limits.max_tokens not in (1, 9):  # no prompt that is only timed
            asked.extend(prompts)
        return reply(self, prompts, limits)

    monkeypatch.setattr(Scripted, "reply", counted)
    path = own_metric(tmp_path, "answer.startswith('It is')", model="scripted:./said.jsonl")
    studies.lines(tmp_path / "said.jsonl", [{"when": "", "say": "It is so"}])
    with pytest.raises(TaskError, match="does not come to an end"):
        run(path, RunOptions(brief=True))
    assert len(asked) == 12, "the answers of the first fold came before they were scored"
    own_metric(tmp_path, "False", model="scripted:./said.jsonl")
    assert run(path, RunOptions(brief=True)).verdict.status
    assert len(asked) == 60
