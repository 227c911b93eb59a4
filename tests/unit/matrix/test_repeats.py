"""Several answers to each case: the case is the unit; what more answers would remove is told."""

import json
import subprocess
import sys

import numpy as np
import pytest
from tests import studies

import tuneworthy
from tuneworthy.explain.rescore import passes
from tuneworthy.matrix.columns import repeats_of
from tuneworthy.matrix.design import Design
from tuneworthy.records.errors import DataError
from tuneworthy.records.evidence import Repeats
from tuneworthy.report._data import page_data, score_matrix
from tuneworthy.report.html import page
from tuneworthy.report.plans import repeats_lines
from tuneworthy.report.score_sections import failures_section
from tuneworthy.report.terminal import ladder_screen

SYSTEMS, CASES = 200, 120
ALONE = Design()


def told_of(draws, design=ALONE):
    means = {case: float(np.mean(row)) for case, row in draws.items()}
    return repeats_of(design, means, [draws])


def drawn(rng, k, between, within):
    """Return draws of k graded answers to each case, around a true mean of .5."""
    cases = 0.5 + between * rng.uniform(-1, 1, CASES)
    values = cases[:, None] + within * rng.uniform(-1, 1, (CASES, k))
    return {f"c{at}": tuple(row) for at, row in enumerate(values.tolist())}


@pytest.mark.parametrize("k", [1, 3, 5, 15])
def test_bounds_cover_and_the_shares_are_right(k):
    """Uniform parts of known variance (a square's third): coverage, share, rows for one answer."""
    rng, between, within = np.random.default_rng(k), 0.2, 0.25
    covered, told = 0, []
    for _ in range(SYSTEMS):
        draws = drawn(rng, k, between, within)
        bound = Design().mean({case: float(np.mean(row)) for case, row in draws.items()})
        covered += bound.low <= 0.5 <= bound.high
        told.append(told_of(draws))
    assert covered / SYSTEMS >= 0.94 - 0.02  # 1.3 standard errors of 200 below the promise
    if k == 1:
        assert set(told) == {None}
        return
    true = within**2 / k / (between**2 + within**2 / k)
    assert np.mean([one.share for one in told]) == pytest.approx(true, abs=0.02)
    alone = CASES * (between**2 + within**2) / (between**2 + within**2 / k)
    assert np.mean([one.rows_alone for one in told]) == pytest.approx(alone, rel=0.05)


def test_answers_that_never_vary_say_nothing_and_pure_noise_says_all():
    same = {f"c{at}": (at % 2, at % 2, at % 2) for at in range(40)}
    assert told_of(same) == Repeats(k=3, share=0.0, rows_alone=40)
    rng = np.random.default_rng(1)
    noise = {f"c{at}": tuple(rng.integers(0, 2, 5).tolist()) for at in range(400)}
    assert told_of(noise).share > 0.8
    assert told_of(dict(list(noise.items())[:9])) is None, "nine cases tell no part"


def test_groups_that_are_alike_leave_less_to_more_answers():
    """Ten cases each are alike: the mean varies ten times as much by case, and as much by draw."""
    rng = np.random.default_rng(4)
    groups = 0.5 + 0.2 * rng.uniform(-1, 1, 100)
    values = groups.repeat(10)[:, None] + 0.25 * rng.uniform(-1, 1, (1000, 3))
    draws = {f"c{at}": tuple(row) for at, row in enumerate(values.tolist())}
    design = Design({case: at // 10 for at, case in enumerate(draws)})
    between, within = 0.2**2, 0.25**2 / 3
    assert told_of(draws).share == pytest.approx(within / (between + within), abs=0.05)
    found = told_of(draws, design).share
    assert found == pytest.approx(within / (10 * between + within), abs=0.02)


def test_the_share_of_a_difference_adds_what_both_arms_draw():
    rng = np.random.default_rng(2)
    one, two = drawn(rng, 3, 0.2, 0.2), drawn(rng, 3, 0.2, 0.2)
    diffs = {case: float(np.mean(one[case]) - np.mean(two[case])) for case in one}
    found = repeats_of(ALONE, diffs, (one, two))
    assert found.share == pytest.approx(0.25, abs=0.1)  # 2/9 of .02 over 2 (.04 + .04 / 3) / 3
    assert repeats_of(ALONE, diffs, (one, {})) is None, "one arm was asked once"


def test_twice_the_answers_do_what_so_many_rows_do():
    told = Repeats(k=3, share=0.5, rows_alone=0)
    assert told.or_rows(120).startswith("3 more answers to each row, or 40 more rows, narrow")
    assert told.instead_of(40, 120) == 3


@pytest.mark.parametrize(("share", "rows", "more"), [(0.5, 40, 3), (0.1, 200, None), (0.9, 10, 1)])
def test_more_answers_instead_of_more_rows(share, rows, more):
    """With half of the variance from draws, 3 answers more of 3 do what 40 rows more of 120 do."""
    told = Repeats(k=3, share=share, rows_alone=0)
    again = told.instead_of(rows, 120)
    assert again == more
    if again:
        narrow = (1 - share + share * 3 / (3 + again)) * (120 + rows)
        assert narrow <= 120


def asked_twice(folder, change=lambda lines: lines):
    rows = [{"id": f"r{n}", "input": f"question {n}", "output": "yes" if n % 3 else "no"}
            for n in range(60)]  # fmt: skip
    studies.lines(folder / "rows.jsonl", rows)
    rng = np.random.default_rng(3)
    said = [{"id": row["id"], "input": row["input"], "answer": answer}
            for _ in range(3) for row in rows
            for answer in [row["output"] if rng.random() < 0.7 else "none of them"]]  # fmt: skip
    studies.lines(folder / "log.jsonl", change(said))
    task = {"name": "asked", "data": {"file": "rows.jsonl"}, "output": {"type": "label"},
            "success": {"metric": "accuracy"}, "arms": ["answers", "majority"],
            "answers": {"bot": "log.jsonl"}}  # fmt: skip
    (folder / "task.yaml").write_text(json.dumps(task))
    return folder / "task.yaml"


def test_a_log_with_three_answers_to_each_row(tmp_path):
    results = tuneworthy.run(asked_twice(tmp_path)).results
    arm = next(one for one in results.evidence.arms if one.name == "bot")
    assert (arm.n, arm.repeats.k) == (60, 3)
    assert "3 answers to each row" in str(arm.because)
    for screen in (ladder_screen(results, 80).plain, page(results)):
        assert "3 answers to each row" in screen
    assert len({score.value for run in results.runs for score in run.scores}) > 2, "means of three"
    (line,) = repeats_lines(tmp_path)
    assert line.endswith(f": {arm.repeats.or_rows(60)}.")
    for command in ("check", "plan"):
        done = subprocess.run([sys.executable, "-m", "tuneworthy", command], cwd=tmp_path,
                              capture_output=True, text=True, timeout=100)  # fmt: skip
        assert "3 more answers to each row, or" in " ".join(done.stdout.split()), command
    assert repeats_lines(tmp_path / "nowhere") == []


def test_epochs_of_an_inspect_log_are_repeats(tmp_path):
    samples = [{"id": n, "epoch": epoch, "input": f"question {n}", "target": "yes",
                "output": {"completion": "yes" if (n + epoch) % 3 else "no"}}
               for epoch in (1, 2) for n in range(30)]  # fmt: skip
    (tmp_path / "log.json").write_text(json.dumps({"eval": {"model": "m"}, "samples": samples}))
    done = subprocess.run(
        [sys.executable, "-m", "tuneworthy", "init", "log.json"],
        cwd=tmp_path, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (said,) = [p for p in tmp_path.rglob("*.jsonl") if "rows" not in p.name]
    lines = [json.loads(line) for line in said.read_text().splitlines()]
    assert [line.get("repeat") for line in lines] == [None] * 30 + [2] * 30


def promptfoo_results(tests, times):
    """Results of promptfoo: each repetition of a test has a number of its own."""
    rows = [{"vars": {"q": f"question {n}"}, "provider": {"id": "bot"}, "success": True,
             "promptIdx": 0, "response": {"output": "yes" if (n + at) % 3 else "no"},
             "testCase": {"assert": [{"type": "equals", "value": "yes"}]}}
            for at in range(times) for n in range(tests)]  # fmt: skip
    return [{**row, "testIdx": at} for at, row in enumerate(rows)]


def imported(folder, results):
    (folder / "out.json").write_text(json.dumps({"version": 3, "results": results}))
    done = subprocess.run(
        [sys.executable, "-m", "tuneworthy", "init", "out.json"],
        cwd=folder, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {p.name: [json.loads(line) for line in p.read_text().splitlines()]
             for p in folder.rglob("*.jsonl")}  # fmt: skip
    (rows,), (said,) = ([v for k, v in found.items() if ("rows" in k) == own] for own in (1, 0))
    return rows, [line.get("repeat") for line in said]


def test_tests_that_promptfoo_repeated_are_one_row_with_several_answers(tmp_path):
    rows, repeats = imported(tmp_path, promptfoo_results(30, 3))
    assert len(rows) == 30
    assert repeats == [None] * 30 + [2] * 30 + [3] * 30


def test_a_test_that_stands_twice_is_no_repeat(tmp_path):
    again = promptfoo_results(30, 1)
    rows, repeats = imported(tmp_path, [*again[:3], {**again[0], "testIdx": 77}, *again[3:]])
    assert len(rows) == 31
    assert set(repeats) == {None}


def test_a_case_with_one_wrong_answer_of_three_did_not_fail(tmp_path):
    results = tuneworthy.run(asked_twice(tmp_path)).results
    scores = {a.case: s for run in results.runs if run.spec.name == "bot"
              for a, s in zip(run.answers, run.scores, strict=True)}  # fmt: skip
    failed = {case for case, score in scores.items() if score.value < 0.5}
    assert any(0.5 < score.value < 1 for score in scores.values())
    plot = failures_section(results, score_matrix(results)).parts[1]
    bot = next(row for row in plot.rows if row.name == "bot")
    assert bot.figures[0].text == str(len(failed))
    assert {case for case, score in scores.items() if not passes(score, 1.0)} == failed
    assert page_data(results, score_matrix(results))["pass"] == 0.5


def test_answers_that_are_all_alike_count_once_and_that_is_told(tmp_path):
    task = asked_twice(tmp_path, lambda said: [said[at % 60] for at in range(180)])
    results = tuneworthy.run(task).results
    arm = next(one for one in results.evidence.arms if one.name == "bot")
    assert arm.repeats is None
    told = [seen.text for seen in results.audit.observations if seen.kind == "answers_alike"]
    assert told == ["log.jsonl answers each row 3 times, always alike: that counts once"]


@pytest.mark.parametrize(
    ("change", "often"),
    [
        (lambda said: [{k: v for k, v in one.items() if k != "input"} for one in said], "3 times"),
        (lambda said: [{**one, "input": None, "run": "night"} for one in said], "3 times"),
        (lambda said: [{**one, "input": None, "epoch": at // 60} for at, one in
                       enumerate(said[:75])], "1 to 2 times"),
        (lambda said: said[:-7], "2 to 3 times"),
    ],
)  # fmt: skip
def test_repeats_need_neither_a_number_nor_equal_counts(tmp_path, change, often):
    results = tuneworthy.run(asked_twice(tmp_path, change)).results
    told = [seen.text for seen in results.audit.observations if seen.kind == "answers_repeated"]
    assert told == [f"log.jsonl answers each row {often}: the mean of a row's answers counts"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda said: [{k: v for k, v in one.items() if k != "input"} for one in said[:61]],
         "two recorded answers belong to one row"),
        (lambda said: [{**one, "input": None, "repeat": 1} for one in said[:61]],
         "two recorded answers belong to one row"),
        (lambda said: [*said[:60], *({**one, "input": "another"} for one in said[60:])],
         "beside other inputs"),
    ],
)  # fmt: skip
def test_answers_that_may_not_be_repeats_are_refused(tmp_path, change, what):
    with pytest.raises(DataError, match=what) as caught:
        tuneworthy.run(asked_twice(tmp_path, change))
    assert caught.value.where
    assert caught.value.fix
