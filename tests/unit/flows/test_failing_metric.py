"""A metric that fails on the systems' answers blocks the verdict, and names the exception."""

from tests.studies import lines

from tuneworthy.cli._frame import run

TASK = """
name: failing
instruction: Answer.
data: {file: rows.jsonl}
success: {metric: "./score.py:score"}
present: {answers: a.jsonl}
answers: {b: {file: b.jsonl, tool: prompt}}
arms: [present, answers]
"""
RAISES = """
def score(case, answer):
    if answer == case["output"]:
        return 1.0
    raise ValueError("boom")
"""


def written(folder, metric, wrong=("no idea {}", "nothing {}")):
    rows = [{"id": f"r{k}", "input": f"Which town has the number {k * 7919 % 997}?",
             "output": f"Town {k}"} for k in range(60)]  # fmt: skip
    lines(folder / "rows.jsonl", rows)
    for name, every, text in zip("ab", (2, 3), wrong, strict=True):
        told = [{"id": row["id"], "answer": row["output"] if k % every else text.format(k)}
                for k, row in enumerate(rows)]  # fmt: skip
        lines(folder / f"{name}.jsonl", told)
    (folder / "score.py").write_text(metric)
    (folder / "task.yaml").write_text(TASK)


def test_a_metric_that_raises_on_wrong_answers_blocks(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, RAISES)
    assert run(["run"]) == 4
    shown = " ".join(capsys.readouterr().out.split())
    assert (
        "the metric fails on 30 of 60 answers of `present`: ./score.py:score: ValueError" in shown
    )
    assert "b leads" not in shown


def test_one_failure_is_tolerated_and_none_is_no_failure(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    once = RAISES.replace(
        "raise ValueError", 'if answer != "no idea 0": return 0\n    raise ValueError'
    )
    written(tmp_path, once)
    assert run(["run"]) in (0, 3)
    capsys.readouterr()
    undecided = RAISES.replace('raise ValueError("boom")', "return None")
    (tmp_path / "score.py").write_text(undecided)
    assert run(["run"]) in (0, 3)
    assert "without an answer or a score: counted as wrong" in capsys.readouterr().out
