"""`check --live` from study to conclusion, by the command: label tasks, facts, fresh labels."""

import json
import random
from dataclasses import replace

import pytest
from tests import studies

from tuneworthy.cli._frame import run
from tuneworthy.handover import watching
from tuneworthy.handover.live_answers import length_of
from tuneworthy.handover.watching import WatchOptions, check_live
from tuneworthy.records.answer import Answer
from tuneworthy.records.errors import DataError, StoreError, TaskError
from tuneworthy.records.task import HardLimits
from tuneworthy.report.results_folder import find_results, open_study

ARMS = ["present", "majority", "tfidf"]
LATER = "2027-02-01T00:00:00+00:00"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study in which the classifier is named: what runs today is right in two of five."""
    folder = tmp_path_factory.mktemp("watched")
    path = studies.write(folder, n=150, arms=ARMS)
    draw = random.Random(2)
    logged = [{"id": row["id"], "seconds": 0.1,
               "answer": row["output"] if draw.random() < 0.4 else "warranty"}
              for row in studies.rows(150)]  # fmt: skip
    studies.lines(folder / "logged.jsonl", logged)
    assert run(["run", str(path), "--no-progress", "--brief"]) == 0
    assert json.loads((find_results(folder) / "verdict.json").read_text())["arm"] == "tfidf"
    return path


def log(tmp_path, rows, answer=lambda row: row["output"], **more):
    path = tmp_path / "live.jsonl"
    lines = [
        {"input": row["input"], "answer": answer(row), "seconds": 0.02, **more} for row in rows
    ]
    studies.lines(path, lines)
    return path


def strange(n):
    """Requests of another kind, with the labels of the task in their usual shares."""
    words = ("tarif", "colis", "facture", "magasin", "vendredi", "client", "merci", "bonjour")
    draw = random.Random(4)
    return [{"input": " ".join(draw.choices(words, k=6)), "output": studies.LABELS[at % 3]}
            for at in range(n)]  # fmt: skip


def test_a_log_that_can_hardly_be_read_keeps_nothing(study, tmp_path, capsys):
    path = log(tmp_path, studies.rows(5, 9))
    path.write_text(path.read_text() + '{"input": "a", "answer"\n' * 400)
    assert run(["check", str(study), "--live", str(path)]) == 5
    told = capsys.readouterr()
    assert "400 of 405 records can't be read" in told.err
    assert "keep" not in told.out
    assert run(["check", str(study), "--live", str(path), "--max-bad", "100%"]) == 0


def test_requests_like_the_rows_are_kept(study, tmp_path):
    found = check_live(study, log(tmp_path, studies.rows(150, 9)))
    assert found.conclusion.do == "keep"
    assert (found.requests, found.used, found.bad_lines) == (150, 150, 0)
    assert (found.arm, found.tool, found.learns) == ("tfidf", "classifier", True)
    assert found.inputs.p > found.inputs.level
    assert found.labels.p > found.labels.level
    assert found.valid.difference.low <= 0 <= found.valid.difference.high
    assert found.learnt_rows == pytest.approx(120, abs=20)
    assert set(found.missing) == {"score", "facts", "slow"}
    assert found.made.startswith("20")


def test_requests_of_another_kind_ask_for_new_rows(study, tmp_path):
    rows = [*studies.rows(100, 9), *strange(100)]
    found = check_live(study, log(tmp_path, rows))
    assert found.conclusion.do == "retrain"
    assert found.conclusion.rows_low <= found.conclusion.rows <= found.conclusion.rows_high
    assert found.conclusion.rows == pytest.approx(found.learnt_rows / 2, rel=0.25)
    assert min(found.unlike.lines) > 100
    assert found.unlike.texts == ()
    shown = check_live(study, log(tmp_path, rows), WatchOptions(show=True))
    assert shown.unlike.texts[0] == rows[shown.unlike.lines[0] - 1]["input"]
    other = check_live(study, log(tmp_path, rows), WatchOptions(arm="present"))
    assert other.conclusion.do == "repeat the verdict"  # what runs today learns from no rows


def test_labels_that_shift_are_shown(study, tmp_path):
    found = check_live(study, log(tmp_path, studies.rows(150, 9), lambda row: "refund"))
    assert found.labels.distance.mean == pytest.approx(2 / 3, abs=0.05)
    assert found.labels.p <= found.labels.level
    assert found.conclusion.do == "retrain"


def test_invalid_answers_ask_for_a_new_verdict(study, tmp_path):
    rows = studies.rows(150, 9)
    found = check_live(study, log(tmp_path, rows, lambda row: f"It is {row['output']}."))
    assert found.valid.now.mean == 0.0
    assert found.labels is None
    assert "0 labels" in found.missing["labels"]
    assert found.conclusion.do == "repeat the verdict"
    lost = check_live(study, log(tmp_path, rows, lambda row: None))
    assert lost.valid.now.mean == 0.0
    assert "no answer came back" in lost.missing["length"]


def test_fresh_labels_show_that_the_score_held_or_dropped(study, tmp_path):
    rows = [*studies.rows(100, 9), *strange(200)]
    gold = tmp_path / "gold.jsonl"
    studies.lines(gold, [{"input": row["input"].upper(), "output": row["output"]} for row in rows])
    held = check_live(study, log(tmp_path, rows), WatchOptions(gold=gold))
    assert held.score.n_now == 300
    assert held.score.now.mean == 1.0
    assert held.conclusion.do == "keep"
    assert "although the inputs drifted" in held.conclusion.because
    wrong = check_live(study, log(tmp_path, rows, lambda row: "refund"), WatchOptions(gold=gold))
    assert wrong.score.difference.high < 0
    assert wrong.conclusion.do == "retrain"
    same = studies.rows(150, 9)
    for row in same:
        row["right"] = row["output"]
    path = tmp_path / "live.jsonl"
    lines = [{"input": row["input"], "answer": "refund", "output": row["output"]} for row in same]
    studies.lines(path, lines)
    assert check_live(study, path).score.n_now == 150


def test_repeated_requests_count_once(study, tmp_path):
    rows = strange(1) * 200
    found = check_live(study, log(tmp_path, rows, lambda row: "refund", output="refund"))
    assert found.score.now.low < 0.6  # one input asked 200 times is one witness
    many = check_live(study, log(tmp_path, studies.rows(150, 9), output="refund"))
    assert many.score.now.low > 0.2


def test_a_repeated_input_is_no_drift(study, tmp_path):
    """A retry burst of one usual input is one witness; without groups it would be an alarm."""
    usual = studies.rows(100, 9)
    found = check_live(study, log(tmp_path, [*usual, *[usual[0]] * 100]))
    assert found.inputs.units_now <= 101
    assert found.inputs.p > found.inputs.level


def change_the_study(monkeypatch, changed):
    """Have `check_live` read results that differ from those of the ledger."""

    def opened(path):
        found = open_study(path)
        return replace(found, results=changed(found.results))

    monkeypatch.setattr(watching, "open_study", opened)


def test_without_a_named_arm_the_answers_are_compared_with_nothing(study, tmp_path, monkeypatch):
    def unnamed(results):
        verdict = results.verdict.model_copy(update={"use": "none", "arm": None})
        return results.model_copy(update={"verdict": verdict})

    change_the_study(monkeypatch, unnamed)
    found = check_live(study, log(tmp_path, studies.rows(60, 9), output="refund"))
    assert (found.arm, found.learns) == (None, False)
    assert found.valid.difference is None
    assert found.score.difference is None
    assert "--arm" in found.missing["labels"]
    assert "--arm" in found.valid.because
    assert "names no arm" in found.conclusion.because
    assert found.conclusion.do == "keep"


def test_tokens_are_compared_where_both_sides_count_them(study, tmp_path):
    found = check_live(study, log(tmp_path, studies.rows(60, 9), tokens=3))
    assert found.length.unit == "characters"  # a classifier counts none
    counted = [Answer(case=str(at), text="x", tokens_out=at) for at in range(1, 30)]
    assert length_of(counted, counted).unit == "tokens"
    assert length_of(counted, counted).p == 1.0


def test_results_that_the_ledger_does_not_hold_are_refused(study, tmp_path):
    path = find_results(study.parent) / "results.json"
    kept = path.read_text()
    try:
        path.write_text(kept.replace('"use":"classifier"', '"use":"prompt"', 1))
        with pytest.raises(StoreError):
            check_live(study, log(tmp_path, studies.rows(30, 9)))
    finally:
        path.write_text(kept)


def test_requests_slower_than_the_limit_ask_for_a_new_verdict(study, tmp_path, monkeypatch):
    def limited(results):
        success = results.task.success.model_copy(update={"limits": HardLimits(p95_ms=100)})
        task = results.task.model_copy(update={"success": success})
        return results.model_copy(update={"task": task})

    change_the_study(monkeypatch, limited)
    rows = studies.rows(100, 9)
    fast = check_live(study, log(tmp_path, rows))
    assert (fast.slow.k, fast.slow.n, fast.conclusion.do) == (0, 100, "keep")
    slow = log(tmp_path, rows)
    slow.write_text(slow.read_text().replace('"seconds": 0.02', '"seconds": 0.3', 30))
    found = check_live(study, slow)
    assert (found.slow.k, found.conclusion.do) == (30, "repeat the verdict")
    assert "longer than 100 ms" in found.conclusion.because
    studies.lines(tmp_path / "bare.jsonl", [{"input": r["input"], "answer": "x"} for r in rows])
    assert "no `seconds`" in check_live(study, tmp_path / "bare.jsonl").missing["slow"]


@pytest.mark.parametrize(
    ("success", "why"),
    [({"metric": "judge"}, "a judge's"), ({"metric": "style_match"}, "all answers of an arm")],
)
def test_scores_that_need_more_than_one_answer_are_not_taken(
    study, tmp_path, monkeypatch, success, why
):
    def other(results):
        changed = results.task.success.model_copy(update=success)
        return results.model_copy(
            update={"task": results.task.model_copy(update={"success": changed})}
        )

    change_the_study(monkeypatch, other)
    found = check_live(study, log(tmp_path, studies.rows(40, 9), output="refund"))
    assert found.score is None
    assert why in found.missing["score"]


def test_labels_of_settling_are_not_compared(study, tmp_path):
    rows = studies.rows(60, 9)
    gold = tmp_path / "settled.jsonl"
    studies.lines(gold, [{"input": row["input"], "output": "refund", "meta": {"from": "settle"}}
                         for row in rows])  # fmt: skip
    found = check_live(study, log(tmp_path, rows), WatchOptions(gold=gold))
    assert found.score.now.mean == pytest.approx(1 / 3, abs=0.1)
    assert found.score.difference is None
    assert "settling" in found.score.because
    assert found.conclusion.do == "keep"


def test_an_input_with_different_right_answers_is_left_out(study, tmp_path, capsys):
    """The key is the last user turn, and these conversations end alike."""
    rows, said = studies.rows(60, 9), {"input": "Yes, please.", "output": "refund"}
    talks = [
        {"messages": [{"role": "user", "content": about}, {"role": "assistant", "content": "Sure?"},
                      {"role": "user", "content": said["input"]},
                      {"role": "assistant", "content": right}]}
        for about, right in (("Money back", "refund"), ("A new lamp", "warranty"))
    ]  # fmt: skip
    gold, live = tmp_path / "gold.jsonl", log(tmp_path, [*rows, *[said] * 40])
    studies.lines(gold, [*[{"input": row["input"], "output": row["output"]} for row in rows],
                         *talks])  # fmt: skip
    found = check_live(study, live, WatchOptions(gold=gold))
    assert (found.score.n_now, found.score.now.mean, found.unclear_gold) == (60, 1.0, 1)
    assert run(["check", str(study), "--live", str(live), "--gold", str(gold)]) == 0
    assert "1 input has rows with different right answers" in capsys.readouterr().out
    studies.lines(gold, [talks[0], talks[0]])
    alike = check_live(study, live, WatchOptions(gold=gold))
    assert (alike.score.n_now, alike.unclear_gold) == (40, 0)


def test_what_can_not_be_used_says_so(study, tmp_path):
    live = log(tmp_path, studies.rows(30, 9))
    for options, what in [(WatchOptions(arm="gpt"), "no such arm"),
                          (WatchOptions(gold=tmp_path / "gone"), "no such file")]:  # fmt: skip
        with pytest.raises(TaskError, match=what):
            check_live(study, live, options)
    (tmp_path / "bad.jsonl").write_text('{"input": "x"}\n')
    with pytest.raises(DataError, match="right answer can't be read"):
        check_live(study, live, WatchOptions(gold=tmp_path / "bad.jsonl"))
    (tmp_path / "none.jsonl").write_text('{"input": "never asked", "output": "refund"}\n')
    found = check_live(study, live, WatchOptions(gold=tmp_path / "none.jsonl"))
    assert "none.jsonl" in found.missing["score"]
    with pytest.raises(TaskError, match="no finished study"):
        check_live(studies.write(tmp_path / "new", n=30), live)
    studies.lines(tmp_path / "silent.jsonl", [{"input": row["input"]} for row in studies.rows(40)])
    silent = check_live(study, tmp_path / "silent.jsonl")
    assert silent.without_answer == 40
    assert silent.missing["valid"] == "the log has no answers"


def test_another_task_of_the_folder_is_not_taken_for_this_one(study, tmp_path):
    other = study.with_name("other.yaml")
    keys = json.loads(study.read_text())
    other.write_text(json.dumps({**keys, "name": "another"}))
    with pytest.raises(TaskError, match="another task"):
        check_live(other, log(tmp_path, studies.rows(30)))


def test_the_command_prints_a_screen_or_json(study, tmp_path, capsys):
    live = log(tmp_path, [*studies.rows(100, 9), *strange(100)])
    live.write_text(live.read_text() + "{half\n")
    assert run(["check", str(study), "--live", str(live)]) == 0
    screen = capsys.readouterr().out
    assert max(map(len, screen.splitlines())) <= 80
    assert "retrain: about" in screen
    assert "1 left out: live.jsonl:201:2: not JSON" in " ".join(screen.split())
    assert "tarif" not in screen
    assert run(["check", str(study), "--live", str(live), "--show"]) == 0
    assert "tarif" in capsys.readouterr().out
    assert run(["check", str(study), "--live", str(live), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["conclusion"]["do"] == "retrain"
    assert told["latency"]["unit"] == "milliseconds"
    assert told["facts"] is None
    assert told["missing"]["facts"]


def test_the_command_refuses_with_its_codes(study, tmp_path, capsys):
    assert run(["check", str(study), "--live", str(tmp_path / "gone.jsonl")]) == 2
    (tmp_path / "empty.jsonl").write_text("")
    assert run(["check", str(study), "--live", str(tmp_path / "empty.jsonl"), "--json"]) == 5
    assert json.loads(capsys.readouterr().out)["error"] == "DataError"
    assert run(["check", str(study), "--gold", str(tmp_path / "gold.jsonl")]) == 2
    assert "belongs to --live" in capsys.readouterr().err


TOPICS = ("leave", "parking", "lunch", "travel", "badge", "laptop", "mail", "desk", "phone", "gym")


def rule(topic, days, number, **edges):
    return {"id": f"{topic}-{number}", "text": f"The limit on {topic} is {days} days.", **edges}


def test_a_log_whose_facts_moved_leads_to_repeat_the_verdict(tmp_path):
    """The named arm answers from memory; a third of the rules change after the study."""
    rows, said = [], []
    for at in range(60):
        topic = TOPICS[at % 10]
        rows.append({"id": f"r{at}", "input": f"What is the limit on {topic}, case {at}?",
                     "output": f"{10 + at % 10} days"})  # fmt: skip
        said.append({"id": f"r{at}", "answer": rows[-1]["output"]})
    docs = [rule(topic, 10 + at, 1, **{"from": "2020-01-01"}) for at, topic in enumerate(TOPICS)]
    folder = tmp_path / "facts"
    path = studies.write(folder, arms=["present", "majority"], output={"type": "text"},
                         data={"file": "rows.jsonl", "docs": "docs.jsonl"})  # fmt: skip
    studies.lines(folder / "rows.jsonl", rows)
    studies.lines(folder / "logged.jsonl", said)
    studies.lines(folder / "docs.jsonl", docs)
    assert run(["run", str(path), "--no-progress", "--brief"]) == 0
    live = log(tmp_path, rows * 2, time="2027-02-01")
    before = check_live(path, live, WatchOptions(arm="present", now=LATER))
    assert before.facts.share.k == 0
    assert before.conclusion.do == "keep"
    moved = [{**doc, "to": "2027-01-01"} if at < 3 else doc for at, doc in enumerate(docs)]
    moved += [rule(topic, 90 + at, 2, **{"from": "2027-01-01"})
              for at, topic in enumerate(TOPICS[:3])]  # fmt: skip
    studies.lines(folder / "docs.jsonl", moved)
    after = check_live(path, live, WatchOptions(arm="present", now=LATER))
    assert after.facts.share.k == 36
    assert (after.facts.old, after.facts.new) == (36, 0)
    assert after.conclusion.do == "repeat the verdict"
    assert "the facts moved" in after.conclusion.because


def test_a_verdict_past_its_expiry_says_so(tmp_path, capsys):
    path = studies.write(tmp_path, n=60, arms=["present", "majority"],
                         knowledge={"changed_share": 0.2, "over": "30d"})  # fmt: skip
    assert run(["run", str(path), "--no-progress", "--brief"]) == 0
    live = log(tmp_path, studies.rows(60, 9))
    fresh = check_live(path, live, WatchOptions(arm="present"))
    assert not fresh.expiry.passed
    assert fresh.expiry.day > fresh.made[:10]
    late = check_live(path, live, WatchOptions(arm="present", now="2036-01-01T00:00:00+00:00"))
    assert late.expiry.passed
    assert late.conclusion.do == "repeat the verdict"
    assert "expired on" in late.conclusion.because


def test_requests_to_other_names_of_the_server_are_not_those_of_the_arm(study, tmp_path):
    """`serve --log` logs the bare model (`:raw`), bases and builds of other arms and tasks too."""
    served, rows = "planted-tfidf-0123456789ab", studies.rows(150, 9)
    path = tmp_path / "live.jsonl"
    own = [{"input": r["input"], "answer": r["output"], "model": served} for r in rows]
    others = ("planted-zero_shot-0123456789ab", "planted-lora-0123456789ab:raw", "hf:org/m",
              "smollm2-135m", "other-planted-tfidf-0123456789ab")  # fmt: skip
    free = [{"input": f"Poem {n} of the sea", "answer": f"Sea {n}", "model": others[n % 5]}
            for n in range(150)]  # fmt: skip
    studies.lines(path, [line for pair in zip(own, free, strict=True) for line in pair])
    found = check_live(study, path)
    assert found.conclusion.do == "keep"
    assert found.valid.now.mean == 1.0
    assert (found.requests, found.used, found.other_names) == (300, 150, 150)
    assert found.models == {served: 150}
    studies.lines(path, own)
    assert check_live(study, path).other_names == 0
    studies.lines(path, [{**line, "model": "gpt"} for line in own])
    assert check_live(study, path).used == 150, "another server's name says nothing about the arm"
    both = [{**line, "model": "planted-tfidf"} for line in own[:75]] + own[75:]
    studies.lines(path, [*both, *free])
    assert check_live(study, path).used == 150, "a served arm answers under its plain name too"
    studies.lines(path, [line for line in free if line["model"].startswith("planted-")])
    with pytest.raises(DataError, match="no request of the log is to a build of this arm"):
        check_live(study, path)


def test_a_request_without_a_logged_answer_is_not_a_wrong_one(study, tmp_path):
    path, rows = tmp_path / "live.jsonl", studies.rows(150, 9)
    lines = [{"input": r["input"], "output": r["output"], "seconds": 9.0} for r in rows]
    asked = [{"input": line["input"], "seconds": 9.0} for line in lines]
    studies.lines(path, asked)
    gold = tmp_path / "gold.jsonl"
    studies.lines(gold, rows)
    found = check_live(study, path, WatchOptions(gold=gold))
    assert found.missing["score"] == "the log has no answers"
    half = [{**line, "answer": r["output"]} if n % 2 else line
            for n, (line, r) in enumerate(zip(asked, rows, strict=True))]  # fmt: skip
    studies.lines(path, half)
    found = check_live(study, path, WatchOptions(gold=gold))
    assert found.score.now.mean == 1.0
