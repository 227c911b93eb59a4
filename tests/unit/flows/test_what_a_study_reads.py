"""A change of anything that a study reads makes it another study; nothing stale is shown."""

import json

import pytest
import yaml
from tests import studies

from tuneworthy.flows.study import RunOptions, run
from tuneworthy.models.scripted import Scripted

LABELS = ("pay", "ship")


def row(number, label):
    return {"id": f"r{number}", "input": f"{label} order {number}", "output": label}


def write(folder, **files):
    """A task with train and test files, a logged system and documents."""
    rows = [row(n, LABELS[n % 2]) for n in range(60)]
    logged = [{"id": r["id"], "answer": "pay"} for r in rows[40:]]
    whole = {
        "train.jsonl": rows[:40],
        "test.jsonl": rows[40:],
        "other.jsonl": logged,
        "docs.jsonl": [{"id": "d1", "text": "Orders are paid first."}],
    } | files
    for name, lines in whole.items():
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    task = {
        "data": {"train": "train.jsonl", "test": "test.jsonl", "docs": "docs.jsonl"},
        "output": {"type": "label"},
        "arms": ["majority", "tfidf", "other"],
        "answers": {"other": "other.jsonl"},
    }
    path = folder / "task.yaml"
    path.write_text(json.dumps(task))
    return path


def means(study):
    return {arm.name: arm.score.mean for arm in study.results.evidence.arms}


@pytest.mark.every(2)
@pytest.mark.parametrize("name", ["train.jsonl", "test.jsonl", "other.jsonl", "docs.jsonl"])
def test_a_changed_file_is_read_again(name, tmp_path):
    first = run(write(tmp_path))
    lines = [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
    key = {"other.jsonl": "answer", "docs.jsonl": "text"}.get(name, "output")
    changed = [line | {key: "ship"} for line in lines[:15]] + lines[15:]
    second = run(write(tmp_path, **{name: changed}))
    assert second.folder != first.folder
    third = run(write(tmp_path))
    assert third.results.verdict == first.results.verdict  # the first one is still there


def test_right_answers_of_the_test_file_count_as_they_stand_now(tmp_path):
    before = means(run(write(tmp_path)))
    flipped = [row(n, LABELS[n % 2]) | {"output": "ship"} for n in range(40, 60)]
    after = means(run(write(tmp_path, **{"test.jsonl": flipped})))
    assert (before["tfidf"], after["tfidf"]) == (1.0, 0.5)
    assert (before["other"], after["other"]) == (0.5, 0.0)


def test_a_changed_prompt_of_today_is_asked_anew(tmp_path):
    (tmp_path / "prompt.md").write_text("Answer refund.")
    present = {"model": studies.MODEL, "prompt": "prompt.md"}
    path = studies.write(tmp_path, arms=["majority", "present"], present=present)
    sent = [_prompts(run(path))]
    (tmp_path / "prompt.md").write_text("Answer delivery.")
    sent.append(_prompts(run(path)))
    assert [{"Answer refund."}, {"Answer delivery."}] == sent


def _prompts(study):
    answers = [a for r in study.results.runs if r.spec.arm == "present" for a in r.answers]
    return {answer.prompt[0].content for answer in answers}


def test_inputs_to_settle_on_are_no_part_of_a_study(tmp_path):
    path = studies.write(tmp_path, arms=studies.LIGHT)
    first = run(path)
    (tmp_path / "more.jsonl").write_text('{"input": "one more"}\n', "utf-8")
    text = yaml.safe_load(path.read_text("utf-8"))
    text["data"]["unlabelled"] = "more.jsonl"
    path.write_text(yaml.safe_dump(text), "utf-8")
    again = run(path)
    assert again.verdict.task.hash == first.verdict.task.hash
    assert again.verdict.looks == 1


def test_d1_a_model_whose_files_were_replaced_is_asked_again(tmp_path):
    path = studies.write(tmp_path, arms=["majority", "zero_shot"])
    first = run(path)
    studies.lines(tmp_path / "replies.jsonl", [{"when": "", "say": "refund"}])
    second = run(path)
    said = [
        {a.text for r in study.results.runs if r.spec.arm == "zero_shot" for a in r.answers}
        for study in (first, second)
    ]
    assert said == [{"refund", "delivery", "warranty"}, {"refund"}]
    assert run(path).results == second.results


def test_d1_a_study_started_anew_asks_every_prompt_again(tmp_path, monkeypatch):
    path = studies.write(tmp_path, arms=["majority", "zero_shot"])
    reply, asked = Scripted.reply, []

    def counted(self, prompts, limits):
        asked.extend(prompts)
        return reply(self, prompts, limits)

    monkeypatch.setattr(Scripted, "reply", counted)
    run(path, RunOptions(brief=True))
    first = len(asked)
    run(path, RunOptions(brief=True))
    assert len(asked) == first >= 60
    run(path, RunOptions(brief=True, fresh=True))
    assert (again := len(asked)) >= first + 60
    text = yaml.safe_load(path.read_text("utf-8"))
    path.write_text(json.dumps({**text, "success": {"margin": 0.1}}), "utf-8")
    study = run(path, RunOptions(brief=True))  # another study: it shares what was asked anew
    assert study.results.task.success.margin == 0.1
    assert len(asked) - again < first - 60
