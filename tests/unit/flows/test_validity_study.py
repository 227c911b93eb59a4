"""Rows without a right answer, from files to verdict: validity of each arm, and nobody named."""

import json
from hashlib import sha256

import pytest

import tuneworthy
from tuneworthy.flows.study import RunOptions, check
from tuneworthy.report.terminal import ladder_screen
from tuneworthy.verdict.decide import exit_code

SCHEMA = {"type": "object", "required": ["city", "day"],
          "properties": {"city": {"type": "string"}, "day": {"type": "integer"}}}  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Run a study of 45 rows: a third of the log is no JSON, a third lacks a required key."""
    folder = tmp_path_factory.mktemp("validity")
    towns = [sha256(bytes([i])).hexdigest() for i in range(45)]
    texts = [json.dumps({"city": town, "day": day}) for day, town in enumerate(towns)]
    rows = [{"id": f"r{i}", "input": text} for i, text in enumerate(texts)]
    said = [(text, "It is Oslo", '{"city": "Oslo"}')[i % 3] for i, text in enumerate(texts)]
    log = [{"id": f"r{i}", "answer": text} for i, text in enumerate(said)]
    for name, lines in (("rows", rows), ("log", log)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    task = {
        "instruction": "Return the city and the day.", "data": {"file": "rows.jsonl"},
        "output": {"schema": SCHEMA}, "model": "scripted:echo", "repeats": 3,
        "present": {"model": "scripted:noisy", "options": {"temperature": 1.0}},
        "answers": {"logged": {"file": "log.jsonl"}},
        "arms": ["present", "zero_shot", "constrained", "few_shot", "lora", "majority", "answers"],
    }  # fmt: skip
    (folder / "task.yaml").write_text(json.dumps(task))
    return tuneworthy.run(folder / "task.yaml", RunOptions(brief=True)), folder


def test_no_arm_is_named_and_the_next_step_is_to_write_answers(study):
    verdict = study[0].verdict
    assert (verdict.use, verdict.arm, verdict.status) == ("none", None, "blocked")
    assert "this is a validity study (no row has a right answer)" in verdict.because
    assert (verdict.next.do, verdict.next.rows, verdict.next.edit) == ("label", 45, "data")
    assert {at.use for at in verdict.by_margin} == {"none"}
    assert verdict.wrong == ()
    assert exit_code(verdict) == 4


def test_each_arm_has_its_share_of_valid_answers_and_what_they_lack(study):
    arms = {arm.name: arm for arm in study[0].results.evidence.arms}
    assert arms["zero_shot"].score.mean == arms["constrained"].score.mean == 1
    assert arms["logged"].score.mean == pytest.approx(1 / 3, abs=1e-6)
    assert arms["logged"].figures["no_json"].mean == pytest.approx(1 / 3, abs=1e-6)
    assert arms["present"].repeats.k == 3
    assert 0 < arms["present"].score.mean < 1
    assert arms["present"].figures["unstable"].mean > 0.9
    assert "unstable" not in arms["zero_shot"].figures, "it was asked once"


def test_arms_that_read_right_answers_are_skipped_with_the_reason(study):
    arms = {arm.name: arm for arm in study[0].results.evidence.arms}
    for name in ("few_shot", "majority", "lora"):
        assert arms[name].state == "skipped"
        assert "needs rows with a right answer" in str(arms[name].because)


def test_the_question_of_the_evaluation_is_not_answered_by_answers_that_are_not_there(study):
    asked = {found.name: found for found in study[0].verdict.questions}
    assert asked["evaluation"].answer == "not_measured"
    assert "no row has a right answer" in asked["evaluation"].because


def test_screen_and_page_speak_of_valid_answers(study):
    done, folder = study
    page = next(folder.glob("results/*/report.html")).read_text()
    screen = ladder_screen(done.results).plain
    assert "valid (95 %)" in screen
    assert "invalid █ valid" in screen
    assert ">invalid<" in page
    assert ">wrong<" not in page


def test_check_says_so_before_anything_is_asked(study):
    audit = check(study[1] / "task.yaml")
    assert [one.kind for one in audit.observations if one.level == "blocked"] == ["validity_study"]
