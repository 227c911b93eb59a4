"""A judge grades a whole study: with human grades it counts, with too few it blocks."""

import json
import random
import re
import shutil

import pytest
from tests import studies

from tuneworthy.cli._frame import run as command
from tuneworthy.flows.study import run
from tuneworthy.models import scripted
from tuneworthy.records.errors import StoreError, TaskError
from tuneworthy.report import results_folder as shelf
from tuneworthy.verdict.recompute import recompute


def by_truth(prompt, limits):
    """A sound judge: the answer that names the fact of the request is better."""
    text = prompt[-1].content
    mark = re.findall(r"^(==\w+==) END$", text, re.MULTILINE)[-1]
    first = text.split(f"{mark} ANSWER A\n")[1].split(f"{mark} ")[0]
    second = text.split(f"{mark} ANSWER B\n")[1].split(f"{mark} ")[0]
    number = re.search(r"question (\d+)", text)[1]
    fact = f"fact {number} "
    good = [fact in first, fact in second]
    return f"VERDICT: {'SAME' if good[0] == good[1] else 'AB'[good.index(True)]}"


def write(folder, graded):
    """80 open answers, two logged systems (.9 and .4 right), grades of the first so many rows."""
    rows = [
        {"id": f"r{i}", "input": f"question {i} ?", "output": f"fact {i} is true"}
        for i in range(80)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    draw, systems = random.Random(0), {}
    for name, share in (("good", 0.9), ("bad", 0.4)):
        systems[name] = [
            f"I think fact {i if draw.random() < share else i + 100} holds" for i in range(80)
        ]
        studies.lines(folder / f"{name}.jsonl", [
            {"id": f"r{i}", "answer": text} for i, text in enumerate(systems[name])
        ])  # fmt: skip
    grades = [
        {
            "id": f"r{i}",
            "answer": systems[name][i],
            "grade": float(f"fact {i} " in systems[name][i]),
        }
        for name in systems
        for i in range(graded)
    ]
    studies.lines(folder / "rows.jsonl", rows)
    studies.lines(folder / "human.jsonl", grades)
    path = folder / "task.yaml"
    path.write_text(json.dumps({
        "name": "judged", "data": {"file": "rows.jsonl"}, "output": {"type": "text"},
        "success": {"metric": "judge", "margin": 0.1,
                    "judge": {"model": "scripted:truth", "grades": "human.jsonl"}},
        "answers": {"good": {"file": "good.jsonl", "tool": "bigger"},
                    "bad": {"file": "bad.jsonl", "tool": "prompt"}},
        "arms": ["answers"], "seeds": 1,
    }))  # fmt: skip
    return path


def test_a_sound_judge_with_human_grades_names_the_better_system(tmp_path, monkeypatch):
    monkeypatch.setitem(scripted._BUILT_IN, "truth", by_truth)
    verdict = run(write(tmp_path, graded=70)).verdict
    assert (verdict.arm, verdict.use) == ("good", "bigger")
    assert verdict.status != "blocked"
    by_name = {arm.name: arm for arm in verdict.arms}
    assert by_name["bad"].delta.versus == "good"
    assert by_name["bad"].delta.high < 0


def test_a_judged_study_is_recomputed_from_its_folder_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(scripted._BUILT_IN, "truth", by_truth)
    study = run(write(tmp_path / "task", graded=70))
    shutil.copytree(study.folder, alone := tmp_path / "alone")
    shutil.rmtree(tmp_path / "task")  # no rows, no grades, no store
    monkeypatch.delitem(scripted._BUILT_IN, "truth")
    found = shelf.recompute(alone)
    assert (found.differs, found.hash) == ((), study.verdict.evidence_hash)
    assert found.rescored is None
    assert found.not_recomputed[0] == "scores"
    assert command(["report", str(alone), "--recompute"]) == 0
    assert "Taken as stored: scores" in capsys.readouterr().out


def worse(whole):
    done = next(run for run in whole["runs"] if run["spec"]["name"] == "good")
    at = next(i for i, score in enumerate(done["scores"]) if score["value"] == 1)
    done["scores"][at]["value"] = 0.0


@pytest.mark.parametrize("change", [worse, lambda whole: whole["grades"][-1].update(grade=0.5)])
def test_a_changed_score_or_grade_of_a_judged_study_is_found(tmp_path, monkeypatch, change):
    monkeypatch.setitem(scripted._BUILT_IN, "truth", by_truth)
    study = run(write(tmp_path, graded=70))
    path = study.folder / "results.json"
    change(whole := json.loads(path.read_text()))
    path.write_text(json.dumps(whole))
    with pytest.raises(StoreError, match="not those that the ledger holds"):
        shelf.recompute(study.folder)
    alone = tmp_path / "alone"  # without its ledger the evidence itself tells
    shutil.copytree(study.folder, alone)
    found = shelf.recompute(alone)
    assert found.hash != study.verdict.evidence_hash
    assert any(line.startswith(("evidence/arms/", "evidence/pairs/")) for line in found.differs)
    assert command(["report", str(alone), "--recompute"]) == 1


def test_judged_results_without_grades_are_refused_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(scripted._BUILT_IN, "truth", by_truth)
    study = run(write(tmp_path, graded=70))
    with pytest.raises(TaskError, match="human grades"):
        recompute(study.results.model_copy(update={"grades": None}))


def test_a_judge_with_few_human_grades_blocks(tmp_path, monkeypatch):
    monkeypatch.setitem(scripted._BUILT_IN, "truth", by_truth)
    verdict = run(write(tmp_path, graded=20)).verdict
    assert verdict.status == "blocked"
    assert "of its cases' answers have human grades, and 50 are needed" in verdict.because


def test_other_grades_are_another_study(tmp_path, monkeypatch):
    monkeypatch.setitem(scripted._BUILT_IN, "truth", by_truth)
    first = run(write(tmp_path, graded=70))
    again = run(write(tmp_path, graded=60))
    assert first.verdict.task.hash != again.verdict.task.hash
