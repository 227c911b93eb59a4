"""A race in the pipeline: a dearer arm is stopped where no climb to it pays, and only declared."""

import json
from types import SimpleNamespace

import pytest
from tests import studies

import tuneworthy
from tuneworthy import results_folder as shelf
from tuneworthy.compare.comparison import compare
from tuneworthy.core.arm import Recipe
from tuneworthy.core.run_options import RunOptions
from tuneworthy.core.split import Part, Split
from tuneworthy.core.task import Economics, Judge, Output, Success, Task
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.measure.block_race import RaceState, measure_raced, why_not_raced
from tuneworthy.measure.units import measure
from tuneworthy.session import open_session
from tuneworthy.stats import bounds, race

PLAIN = Split(k=1, parts=())
CLUSTERED = Split(
    k=1, parts=(Part(train=(), dev=(), test=("a", "b")),), groups={"a": "a", "b": "a"}
)

EARLY = {"minutes": 20, "stop_early": True}


def write(folder, n, right, budget=None, today=1.0):
    """Two recorded systems on n rows: the tuned one is right with a share, so is today's."""
    path = studies.write(folder, n=n)
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    keys = json.loads(path.read_text())
    keys |= {
        "arms": ["present", "answers"],
        "present": {"answers": "today.jsonl"},
        "answers": {"hosted": {"file": "tuned.jsonl", "tool": "tune"}},
        "success": {"margin": 0.10},
        "budget": budget or EARLY,
    }
    for name, share in (("today", today), ("tuned", right)):
        made = [
            {"id": r["id"], "answer": r["output"] if i % 100 < 100 * share else "?", "seconds": 0.1}
            for i, r in enumerate(rows)
        ]
        studies.lines(folder / f"{name}.jsonl", made)
    path.write_text(json.dumps(keys))
    return path


def measured(path):
    """Measure the plan's arms in order, as a study does; return (task, runs, evidence, asked)."""
    done = []
    with open_session(path, RunOptions(), lambda event, data: done.append(data)) as desk:
        planned, bench = desk.plan(), desk.runner()
        recipes = [Recipe() for _ in bench.split.parts]
        runs, tools = [], len({arm.spec.tool for arm in planned.arms})
        for arm in planned.arms:
            runs += measure_raced(bench, arm, recipes, False, RaceState(desk.inputs, runs, tools))
        cases = tuple(desk.sealed.open("compare").values())
        return runs, compare(desk.inputs, cases, runs), sum(d for d in done if isinstance(d, int))


def test_an_arm_that_is_far_behind_is_stopped_and_says_so(tmp_path):
    runs, evidence, _ = measured(write(tmp_path, 300, 0.6))
    today, tuned = (next(a for a in evidence.arms if a.tool == tool) for tool in ("keep", "tune"))
    assert (today.state, today.n) == ("measured", 300)
    assert tuned.state == "stopped_early"
    assert tuned.n < 300
    assert f"stopped after {tuned.n} of 300 cases" in tuned.because
    assert "stopped early, is off" in tuned.because
    pair = next(p for p in evidence.pairs if (p.arm, p.versus) == (tuned.name, today.name))
    assert pair.n == tuned.n
    assert pair.high <= 0.10
    assert runs[-1].answers == ()


def test_a_killed_race_goes_on_and_asks_nothing_twice(tmp_path):
    path = write(tmp_path, 300, 0.6)
    first, again = measured(path), measured(path)
    assert first[0] == again[0]
    assert first[1] == again[1]
    assert first[2] > 0
    assert again[2] == 0


def test_an_arm_that_may_win_is_asked_on_all_cases_in_betting_bounds(tmp_path):
    _, evidence, _ = measured(write(tmp_path, 120, 1.0, today=0.8))
    assert {arm.state for arm in evidence.arms} == {"measured"}
    pair = next(p for p in evidence.pairs if p.arm.startswith("hosted"))
    fixed = bounds.paired([1.0] * pair.wins + [0.0] * (120 - pair.wins), pair.level)
    assert (pair.n, pair.wins, pair.losses) == (120, 20, 0)
    assert pair.low < fixed.low


@pytest.mark.long
def test_undeclared_no_arm_is_stopped_and_bounds_are_those_of_one_look(tmp_path):
    _, evidence, _ = measured(write(tmp_path, 300, 0.6, budget={"minutes": 20}))
    assert {arm.n for arm in evidence.arms} == {300}
    pair = next(p for p in evidence.pairs if p.arm.startswith("hosted"))
    diffs = [-1.0] * pair.losses + [0.0] * (300 - pair.losses)
    assert pair.high == pytest.approx(bounds.paired(diffs, pair.level).high, abs=1e-6)
    assert pair.high != pytest.approx(race.sequential_bound(diffs, pair.level, 300).high, abs=1e-6)


def test_one_split_is_asked_in_blocks_of_64(tmp_path):
    path = write(tmp_path, 1100, 0.5)
    runs, evidence, _ = measured(path)
    tuned = next(a for a in evidence.arms if a.tool == "tune")
    assert tuned.state == "stopped_early"
    assert tuned.n % 64 == 0
    assert len([run for run in runs if run.spec.name == tuned.name]) == 2  # one whole, one marker


def test_where_means_are_compared_or_time_orders_rows_all_cases_are_asked():
    task = Task(data={"file": "rows.jsonl"}, budget=EARLY)
    assert why_not_raced(task, PLAIN) == ""
    assert "time" in why_not_raced(task, PLAIN.model_copy(update={"by_time": True}))
    assert "groups" in why_not_raced(task, CLUSTERED)
    later = task.model_copy(update={"data": task.data.model_copy(update={"largest_group": 20})})
    assert "groups" in why_not_raced(later, PLAIN)
    raced, whole = (ComparisonInputs(one, "s", PLAIN, {}).is_raced for one in (task, later))
    assert (raced, whole) == (True, False)
    money = Economics(value_of_correct=0.1, requests_per_month=1e4)
    assert "economics" in why_not_raced(task.model_copy(update={"economics": money}), PLAIN)
    assert "stop_early" in why_not_raced(Task(data={"file": "rows.jsonl"}), PLAIN)


def test_an_arm_is_not_raced_where_its_bound_holds_at_one_look_or_blocks_score_differently():
    judged = Success(metric="judge", judge=Judge(model="scripted:x", grades="human.jsonl"))
    task = Task(data={"file": "rows.jsonl"}, budget=EARLY, output=Output(type="text"))
    assert why_not_raced(task, PLAIN) == ""
    assert "human grades" in why_not_raced(task.model_copy(update={"success": judged}), PLAIN)
    styled = task.model_copy(update={"success": Success(metric="style_match+must_say")})
    one, two = (PLAIN.model_copy(update={"parts": (Part(train=("t",), dev=(), test=()),) * k})
                for k in (1, 2))  # fmt: skip
    assert "together" in why_not_raced(styled, one)
    assert why_not_raced(styled, two) == ""  # a block is a fold, which is scored together anyway


def test_the_last_rows_of_a_split_are_scored_with_the_others(tmp_path):
    path = write(tmp_path, 70, 1.0)
    keys = json.loads(path.read_text())
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    learn = [{"input": text, "output": "c d", "must_say": ["c"]} for text in ("one", "two")]
    studies.lines(tmp_path / "train.jsonl", learn)
    studies.lines(tmp_path / "rows.jsonl", [{**r, "must_say": [r["output"]]} for r in rows])
    keys |= {"data": {"train": "train.jsonl", "test": "rows.jsonl"}, "output": {"type": "text"}}
    keys["success"] |= {"metric": "style_match+must_say"}
    path.write_text(json.dumps(keys))
    _, evidence, _ = measured(path)  # 64 rows and 6, too few for a style
    assert {arm.name: (arm.n, arm.errors) for arm in evidence.arms} == {
        arm.name: (70, 0) for arm in evidence.arms
    }


def test_to_stop_early_is_part_of_what_a_study_is():
    plain, early = Task(data={"file": "r"}), Task(data={"file": "r"}, budget=EARLY)
    assert plain.hash != early.hash
    assert plain.hash == Task(data={"file": "r"}, budget={"stop_early": False, "usd": 3}).hash


def test_what_is_skipped_or_no_candidate_goes_the_usual_way(tmp_path):
    with open_session(write(tmp_path, 60, 0.6), RunOptions()) as desk:
        planned, bench = desk.plan(), desk.runner()
        recipes = [Recipe() for _ in bench.split.parts]
        arm = planned.arms[0].model_copy(update={"because": "no room"})
        field = SimpleNamespace(inputs=None, runs=(), tools=1)
        assert measure_raced(bench, arm, recipes, False, field) == measure(
            bench, arm, recipes, False
        )


def test_a_study_that_declares_it_stops_early_and_its_verdict_says_so(tmp_path):
    study = tuneworthy.run(write(tmp_path, 300, 0.6))
    tuned = next(arm for arm in study.verdict.arms if arm.tool == "tune")
    assert (tuned.state, study.verdict.use) == ("stopped_early", "keep")
    assert tuned.n < 300
    assert f"stopped after {tuned.n} of 300 cases" in tuned.because
    assert f"stopped after {tuned.n} of 300" in " ".join(str(study.table()).split())
    assert shelf.recompute(study.folder).differs == ()
