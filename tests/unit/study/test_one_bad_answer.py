"""D4, one bad answer ends no study: half of a character pair is stored, scored and reported."""

import pytest
from rich.console import Console
from tests import studies

from tuneworthy import shelf
from tuneworthy.core.answer import Answer, Unscored
from tuneworthy.core.case import Message
from tuneworthy.core.model import Reply
from tuneworthy.report.csv import answers_csv
from tuneworthy.report.junit import junit_xml
from tuneworthy.study import run

CUT = "refund \ud83d"  # a server cut an emoji in two
OWN = "def score(case, answer):\n    print(answer)\n    return float(case['output'] in answer)\n"


@pytest.mark.parametrize("metric", ["token_f1", "rouge_l", "./m.py:score"])
def test_d4_an_answer_that_is_cut_inside_a_character_is_scored_and_reported(metric, tmp_path):
    path = studies.write(
        tmp_path,
        arms=["majority", "zero_shot", "few_shot", "constrained"],
        output={"type": "text", "max_tokens": 8},
        success={"metric": metric},
    )
    (tmp_path / "m.py").write_text(OWN)
    studies.lines(tmp_path / "replies.jsonl", [{"when": "", "say": CUT}])
    study = run(path)
    said = {a.text for r in study.results.runs if r.spec.arm == "zero_shot" for a in r.answers}
    assert said == {"refund \ufffd"}
    assert run(path).results == study.results == shelf.read(study.folder)
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
    folder = shelf.put(held, tmp_path, "half" * 4)
    assert shelf.read(folder).cases[0].meta["note"] == CUT
