"""A judge grades a whole study: with human grades it counts, with too few it blocks."""

import json
import random
import re

from tests import studies

from tuneworthy.models import scripted
from tuneworthy.study import run


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
