"""A study settled by clicks: blind, kept at once, the same after a kill, and written beside it."""

import io
import json
import random
import shutil
import signal
import subprocess
import sys

import pytest
from bench.atlas.check_entry import check_entry
from bench.atlas.study_entry import entry_of_study
from tests import studies

import tuneworthy
from tuneworthy.cli._frame import run as command
from tuneworthy.flows.settling import open_settling
from tuneworthy.records.errors import TaskError
from tuneworthy.records.run import RunOptions
from tuneworthy.report.vote_screen import progress_line, question_screen
from tuneworthy.stats.bounds import level
from tuneworthy.store.store import open_ledger

POOL = 500


def recorded(folder, n=120, pool=POOL, kinds=(0.80, 0.81), **task):
    """Write a study of two recorded systems of known share right, with their answers to a pool."""
    every = studies.rows(n + pool, seed=5)
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(2)
    systems = dict(zip(("present", "tuned"), kinds, strict=True))
    answers = {name: [] for name in systems}
    for row in every:
        luck = draw.random()
        for name, share in systems.items():
            own = luck if draw.random() < 0.7 else draw.random()
            wrong = studies.LABELS[(studies.LABELS.index(row["output"]) + 1) % 3]
            said = row["output"] if own < share else wrong
            answers[name].append({"id": row["id"], "answer": said})
    for name, rows in answers.items():
        studies.lines(folder / f"{name}.jsonl", rows)
    studies.lines(folder / "rows.jsonl", every[:n])
    inputs = [{key: row[key] for key in ("id", "input")} for row in every[n:]]
    studies.lines(folder / "pool.jsonl", inputs)
    keys = {
        "name": "planted", "data": {"file": "rows.jsonl", "unlabelled": "pool.jsonl"},
        "arms": ["present", "answers", "majority"], "present": {"answers": "present.jsonl"},
        "answers": {"tuned": {"file": "tuned.jsonl", "tool": "tune"}}, "seeds": 1, **task,
    }  # fmt: skip
    path = folder / "task.yaml"
    path.write_text(json.dumps(keys), "utf-8")
    return path, {row["id"]: row["output"] for row in every}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    path, gold = recorded(folder, success={"margin": 0.095})
    return folder, gold, tuneworthy.run(path).verdict


@pytest.fixture
def study(template, tmp_path):
    """A finished study, its right labels and its verdict; one for all tests, copied."""
    shutil.copytree(template[0], tmp_path / "study")
    return tmp_path / "study" / "task.yaml", *template[1:]


def fitted(folder, **task):
    """Write a study of a classifier against a prompt, with a pool and no recorded answer."""
    path = studies.write(
        folder, 30, data={"file": "rows.jsonl", "unlabelled": "pool.jsonl"}, present=None,
        arms=["majority", "tfidf", "zero_shot"], **{"success": {"margin": 0.03}, **task},
    )  # fmt: skip
    rows = studies.rows(300, seed=9)
    pool = [{"id": f"p{at}", "input": row["input"]} for at, row in enumerate(rows)]
    studies.lines(folder / "pool.jsonl", pool)
    return path, {f"p{at}": row["output"] for at, row in enumerate(rows)}


def said(question, gold):
    right = gold[question.query.id]
    return "left" if question.left == right else "right" if question.right == right else "wrong"


def settled(path, gold, most=None, stop=None):
    """Answer from the right labels until it ends (or `stop` clicks were made)."""
    with open_settling(path, clicks=most) as settling:
        made = 0
        while (question := settling.question()) is not None and made != stop:
            assert settling.click(said(question, gold)) == ""
            made += 1
        return settling.finish() if stop is None else settling.progress()


def test_recorded_systems_are_settled_with_fewer_labels_than_inputs(study):
    path, gold, verdict = study
    folder = next((path.parent / "results").glob("planted-*"))
    before = (folder / "verdict.json").read_bytes()
    assert verdict.status == "provisional"
    done = settled(path, gold)
    facts = done.results.evidence.settled
    assert (done.verdict.status, facts.ended) == ("firm", "firm")
    assert done.verdict.arm == verdict.arm == "present"
    assert done.verdict.left_on_table.points <= 0.095 < verdict.left_on_table.points
    assert facts.look == 2
    assert facts.clicks < 0.5 * facts.inputs
    assert facts.again == facts.agreed
    assert f"Settled by {facts.clicks} clicks" in done.verdict.because
    assert done.verdict.evidence_hash != verdict.evidence_hash
    assert (folder / "verdict.json").read_bytes() == before
    assert done.folder.name == folder.name + "-settled"
    rows = [json.loads(line) for line in (done.folder / "settled.jsonl").open()]
    assert len(rows) == done.gold > 0
    inputs = {json.loads(line)["input"]: json.loads(line)["id"]
              for line in (path.parent / "pool.jsonl").open()}  # fmt: skip
    assert all(gold[inputs[row["input"]]] == row["output"] for row in rows)
    assert all(row["meta"] == {"from": "settle"} for row in rows)
    assert len({row["input"] for row in rows}) == len(rows)
    assert check_entry(entry_of_study(folder, None, None, False, False)) == 3 * 120
    with pytest.raises(TaskError, match="clicks settled"):
        entry_of_study(done.folder, None, None, False, False)
    assert check_entry(entry_of_study(done.folder, None, None, False, True)) == 0


def test_a_study_that_was_run_with_brief_is_settled_too(tmp_path):
    path, gold = recorded(tmp_path, n=30, pool=40)
    tuneworthy.run(path, RunOptions(brief=True))
    with open_settling(path) as settling:
        assert settling.click(said(settling.question(), gold)) == ""


def test_a_better_arm_is_found_and_the_ladder_goes_on(tmp_path):
    path, gold = recorded(tmp_path, n=100, kinds=(0.7, 0.95), success={"margin": 0.1})
    rows = [json.loads(line) for line in (tmp_path / "tuned.jsonl").open()]
    for row in rows[:100:6]:  # the study happens to see it fail
        row["answer"] = "none"
    studies.lines(tmp_path / "tuned.jsonl", rows)
    study = tuneworthy.run(path)
    assert (study.verdict.arm, study.verdict.status) == ("present", "provisional")
    done = settled(path, gold)
    assert (done.verdict.arm, done.verdict.use, done.verdict.status) == ("tuned", "tune", "firm")


def test_an_arm_that_learns_is_built_from_all_rows_and_judged_on_new_inputs_alone(tmp_path):
    path, gold = fitted(tmp_path)
    study = tuneworthy.run(path)
    assert study.verdict.status == "provisional"
    done = settled(path, gold)
    assert done.verdict.status == "firm"
    pair = next(p for p in done.results.evidence.pairs if (p.arm, p.versus)[1] == "tfidf")
    assert pair.n == 30 + done.results.evidence.settled.inputs
    with open_ledger(tmp_path, write=False) as ledger:
        assert ledger.keys(study.verdict.task.hash, "click")


def test_nothing_that_is_printed_tells_which_arm_is_which(study):
    path, gold, _ = study
    sides = []
    with open_settling(path) as settling:
        by_id = {json.loads(line)["id"]: json.loads(line)["answer"]
                 for line in (path.parent / "present.jsonl").open()}  # fmt: skip
        while len(sides) < 24 and (question := settling.question()) is not None:
            far = settling.progress()
            head = progress_line(far.left, far.clicks, far.more_clicks)
            text = question_screen(question, head, 80).plain
            assert not any(name in text for name in ("present", "tuned", "keep", "tune"))
            assert max(map(len, text.splitlines())) <= 80
            if not question.again:
                sides.append(question.left == by_id[question.query.id])
            settling.click(said(question, gold))
    assert 4 <= sum(sides) <= 20


def test_a_session_goes_on_where_it_stopped(study):
    whole, gold, _ = study
    parts = whole.parent.parent / "parts" / "task.yaml"
    shutil.copytree(whole.parent, parts.parent)
    one = settled(whole, gold)
    clicks = one.results.evidence.settled.clicks  # the study's hash decides how many there are
    part = max(1, clicks // 4)
    for _ in range(3):
        far = settled(parts, gold, stop=part)
    assert far.clicks == 3 * part < clicks
    two = settled(parts, gold)
    found = [studies.timeless((done.folder / "verdict.json").read_bytes()) for done in (one, two)]
    assert found[0] == found[1]
    assert two.results.evidence.settled == one.results.evidence.settled
    assert two.results.evidence.pairs == one.results.evidence.pairs


@pytest.mark.long
def test_a_look_that_settles_counts_all_that_opened_the_rows_and_is_counted_by_later_ones(tmp_path):
    path, gold = recorded(tmp_path, success={"margin": 0.095})
    rows = (tmp_path / "rows.jsonl").read_text().splitlines(keepends=True)
    for fewer in (2, 1, 0):  # nearly the same rows: three studies, three looks
        (tmp_path / "rows.jsonl").write_text("".join(rows[: len(rows) - fewer]))
        study = tuneworthy.run(path)
    assert study.verdict.looks == 3
    done = settled(path, gold)
    facts = done.results.evidence
    assert (facts.settled.look, facts.looks, done.verdict.looks) == (4, 4, 4)
    opened = [pair for pair, before in zip(facts.pairs, study.results.evidence.pairs, strict=True)
              if pair != before]  # fmt: skip
    assert opened
    assert {pair.level for pair in opened} == {level(0.05, 4, 2)}
    (tmp_path / "rows.jsonl").write_text("".join(rows[:-3]))
    assert tuneworthy.run(path).verdict.looks == 5


@pytest.mark.full
def test_a_killed_session_keeps_every_click(study):
    path, _, _ = study
    code = (
        "import os, sys; from pathlib import Path\n"
        "from tuneworthy.flows.settling import open_settling\n"
        f"with open_settling(Path({str(path)!r})) as settling:\n"
        "    for _ in range(5):\n"
        "        settling.question(); settling.click('left')\n"
        f"    os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    with open_settling(path) as settling:
        assert settling.progress().clicks == 5


def test_patience_and_an_empty_pool_end_it_and_the_next_step_says_so(tmp_path):
    path, gold = recorded(tmp_path, pool=60, success={"margin": 0.02})
    tuneworthy.run(path)
    few = settled(path, gold, most=3)
    assert (few.results.evidence.settled.ended, few.results.evidence.settled.clicks) == (
        "patience", 3,
    )  # fmt: skip
    rest = settled(path, gold)
    assert rest.results.evidence.settled.ended == "pool"
    assert rest.verdict.status == "provisional"
    assert rest.results.evidence.pool == 0
    assert rest.verdict.next.do != "settle"


def test_skipping_helps_neither_side(study):
    path, _, verdict = study
    with open_settling(path) as settling:
        while settling.question() is not None:
            settling.click("skip")
        done = settling.finish()
    assert (done.verdict.status, done.verdict.arm) == ("provisional", verdict.arm)
    assert "were skipped" in done.verdict.because
    assert done.gold == 0


def test_free_text_is_settled_in_points_of_preference(tmp_path):
    path, gold = recorded(
        tmp_path, output={"type": "text"}, success={"metric": "token_f1", "margin": 0.10}
    )
    tuneworthy.run(path)
    done = settled(path, gold)
    assert done.results.evidence.settled.points == "preference"
    assert "shares of preference" in done.verdict.because


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"data": {"file": "rows.jsonl"}}, "no inputs to settle on"),
        ({"success": {"margin": 0.9}}, "the verdict is firm"),
        ({"arms": ["present", "majority"], "answers": {}}, "no label would make"),
    ],
)
def test_where_nothing_can_be_settled_it_says_why(tmp_path, change, what):
    path, _ = recorded(tmp_path, **change)
    with pytest.raises(TaskError, match="no finished study"):
        settled(path, {})
    tuneworthy.run(path)
    with pytest.raises(TaskError, match=what):
        settled(path, {})


def test_inputs_that_are_named_after_the_study_are_drawn(tmp_path):
    path, gold = recorded(tmp_path, data={"file": "rows.jsonl"})
    tuneworthy.run(path)
    data = {"file": "rows.jsonl", "unlabelled": "pool.jsonl"}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data": data}), "utf-8")
    assert settled(path, gold, most=3).results.evidence.settled.clicks == 3


def test_recorded_answers_without_the_new_inputs_are_named(tmp_path):
    path, gold = recorded(tmp_path)
    lines = (tmp_path / "tuned.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "tuned.jsonl").write_text("".join(lines[:120]))
    tuneworthy.run(path)
    with pytest.raises(TaskError, match="missing") as caught:
        settled(path, gold)
    assert caught.value.got == "tuned"


def test_inputs_that_are_labelled_rows_are_not_drawn(tmp_path):
    path, gold = recorded(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").open()]
    pool = [{"id": row["id"], "input": row["input"].upper()} for row in rows]
    studies.lines(tmp_path / "pool.jsonl", pool)
    tuneworthy.run(path)
    with pytest.raises(TaskError, match="no input is new"):
        settled(path, gold)


def test_the_command_takes_answers_from_a_pipe(study, tmp_path, capsys, monkeypatch):
    path, _, _ = study
    monkeypatch.setattr(sys, "stdin", io.StringIO("l\nnonsense\n= nowhere\n=refund\nb\nq\nl\n"))
    assert command(["settle", str(path)]) == 0
    out, err = capsys.readouterr()
    assert "[l]eft [r]ight" in out
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 80
    assert "or = and the right answer" in err
    assert "no legal answer" in err
    assert "3 clicks" in err
    assert "goes on from here" in err
    assert command(["settle", str(path), "--show"]) == 0
    assert "3 clicks" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert command(["settle", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == 1
    monkeypatch.setattr(sys, "stdin", io.StringIO("l\n" * 50))
    assert command(["settle", str(path), "--clicks", "5"]) == 0
    assert "a larger --clicks" in capsys.readouterr().err
    assert command(["settle", str(tmp_path / "nowhere")]) == 2


def test_an_answer_to_a_labelled_row_is_none_to_an_input_with_its_id(tmp_path):
    path, gold = recorded(tmp_path, pool=40)
    rows = [json.loads(line) for line in (tmp_path / "pool.jsonl").open()]
    taken = [{"id": f"r{at}", "input": row["input"]} for at, row in enumerate(rows)]
    studies.lines(tmp_path / "pool.jsonl", taken)
    tuneworthy.run(path)
    with pytest.raises(TaskError, match="recorded answers to the new inputs are missing"):
        settled(path, gold)


def test_a_log_that_is_matched_by_order_has_no_answers_to_new_inputs(tmp_path):
    path, gold = recorded(tmp_path, pool=40)
    keys = json.loads(path.read_text())
    keys["present"]["match"] = "order"
    bare = [json.loads(line) for line in (tmp_path / "present.jsonl").open()][:120]
    studies.lines(tmp_path / "present.jsonl", [{"answer": one["answer"]} for one in bare])
    path.write_text(json.dumps(keys))
    tuneworthy.run(path)
    with pytest.raises(TaskError, match="recorded answers to the new inputs are missing") as told:
        settled(path, gold)
    assert "present" in told.value.got
