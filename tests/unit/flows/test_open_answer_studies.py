"""The three tasks of open answers as whole studies on recorded answers: no model, no request."""

import json

import pytest
from ruamel.yaml import YAML

from tuneworthy.flows.study import run
from tuneworthy.suite import write


def study(name, folder, spoiled):
    """A study of 90 rows (30 scored) with two recorded systems: the right answers, and spoiled."""
    path = write(name, folder, 3, 90)
    rows = [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()]
    for at, row in enumerate(rows):
        row["id"] = f"t{at}"
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for system, change in (("right", lambda text: text), ("plain", spoiled)):
        said = [{"id": row["id"], "answer": change(row["output"])} for row in rows]
        (folder / f"{system}.jsonl").write_text("".join(json.dumps(a) + "\n" for a in said))
    task = YAML(typ="safe").load(path.read_text())
    task |= {"arms": ["answers", "majority"], "model": "scripted:empty",
             "answers": {"right": {"file": "right.jsonl", "tool": "tune"},
                         "plain": {"file": "plain.jsonl", "tool": "prompt"}}}  # fmt: skip
    path.write_text(json.dumps(task))
    found = run(path)
    return found.verdict, {arm.name: arm for arm in found.results.evidence.arms}


CHANGES = {
    "house_voice": lambda text: f"Dear customer, we inform you: {text.split('! ', 1)[1]}",
    "weekly_report": lambda text: text.replace("## Cash", "").replace("## Risks\n", "And so on. "),
    "house_idiom": lambda text: text.replace(": list[dict]", "").split("->")[0] + ":\n    return 1",
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.long if n == "house_voice" else ()) for n in CHANGES]
)
def test_a_task_of_open_answers_is_scored_and_not_blocked(name, tmp_path):
    verdict, arms = study(name, tmp_path, CHANGES[name])
    assert verdict.status != "blocked"
    assert verdict.arm == "right"
    assert arms["right"].score.mean > 0.99
    assert arms["plain"].score.mean < 0.8
    assert arms["majority"].score.mean < 0.5
    assert arms["right"].errors == arms["plain"].errors == 0
