"""A study asks placebos where they can tell something, on the right cases, and reads across."""

import json
import random
from itertools import pairwise
from types import SimpleNamespace

import pytest
from tests import studies

from tuneworthy.explain.diagnosis import _prompt_alone_passes, answer_columns, diagnose_runs
from tuneworthy.explain.label_errors import label_doubts
from tuneworthy.flows.study import RunOptions, plan, run
from tuneworthy.measure import placebos, planning
from tuneworthy.measure.placebos import probes
from tuneworthy.measure.schedule_runner import ScheduleRunner
from tuneworthy.metrics import scorer
from tuneworthy.models import scripted
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.arm import Recipe
from tuneworthy.records.reason import NO_ROOM
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.task import Data, Task
from tuneworthy.report.html import page
from tuneworthy.report.plans import plan_screen
from tuneworthy.report.terminal import ladder_screen

KINDS = [f"kind{i}" for i in range(6)]
CODES = dict(zip(KINDS, "PQRSTU", strict=True))
SHOWN = "nearest_shots placebo"
BRIEF = RunOptions(brief=True)  # what stands beside the arms is tested elsewhere


def reader(reads):
    """A model that knows the codes of four kinds; a kind's code in an example overrides that."""

    def respond(prompt, limits):
        kind = scripted.last_user(prompt).split()[0]
        said = [
            after.content for before, after in pairwise(prompt) if before.content.startswith(kind)
        ]
        if reads and said:
            return said[-1]
        return CODES[kind] if kind in KINDS[:4] else "?"

    return respond


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Run the task with a model that reads examples, or does not."""

    def go(reads=True, n=180, **task):
        monkeypatch.setitem(scripted._BUILT_IN, "reader", reader(reads))
        draw = random.Random(3)
        rows = [
            {"id": f"r{i}", "input": f"{KINDS[i % 6]} number {draw.randint(0, 99999)}",
             "output": CODES[KINDS[i % 6]]} for i in range(n)
        ]  # fmt: skip
        studies.lines(tmp_path / "rows.jsonl", rows)
        keys = {"data": {"file": "rows.jsonl"}, "model": "scripted:reader",
                "output": {"type": "text", "max_tokens": 4}, "success": {"metric": "exact"},
                "arms": ["majority", "zero_shot", {"nearest_shots": {}}], **task}  # fmt: skip
        (tmp_path / "task.yaml").write_text(json.dumps(keys))
        return run(tmp_path / "task.yaml", BRIEF)

    return go


def test_what_examples_rescue_beyond_shuffled_ones_was_a_convention(study):
    done = study()
    seen = done.results.evidence.diagnosis
    assert (seen.arm, seen.n_fail, seen.n_pass) == ("zero_shot", 60, 120)
    leading = done.verdict.wrong[0]
    assert (leading.cause, leading.arm) == ("convention", "nearest_shots")
    assert leading.share > 0.9
    assert leading.placebo == "the same examples with other answers"
    assert set(seen.cause.values()) <= {"convention", "hard"}


def test_a_placebo_is_asked_on_the_failed_cases_alone(study):
    results = study().results
    asked = {a.case for r in results.runs if r.spec.name == SHOWN for a in r.answers}
    failed = set(results.evidence.diagnosis.cause)
    assert asked == failed
    result = next(arm for arm in results.evidence.arms if arm.name == SHOWN)
    assert (result.role, result.state, result.score) == ("placebo", "stopped_early", None)
    assert "to read across" in results.verdict.missing[_pointer(results, SHOWN, "score")]
    assert all(run.latency_ms is None for run in results.runs if run.spec.name == SHOWN)


def test_an_arm_is_compared_with_the_prompt_it_stands_on_in_each_fold():
    """It stands on another prompt than the best one, and not on the same one in every fold."""
    zero, near = Recipe(), Recipe(kind="nearest", k=4)

    def column(arm, tool, recipes, right):
        spec = Spec(name=arm, arm=arm, tool=tool, role="candidate")
        return [
            Run(spec=spec, seed=0, fold=fold, state="measured", recipe=recipe, dev=0.9,
                answers=(Answer(case=f"c{fold}", text="x"),), scores=(Score(value=right[fold]),))
            for fold, recipe in enumerate(recipes)
        ]  # fmt: skip

    few = [Recipe(kind="few", k=2, shots=(f"s{fold}",)) for fold in range(3)]
    runs = [
        *column("zero_shot", "prompt", [zero] * 3, (0, 0, 1)),
        *column("few_shot", "prompt", few, (1, 0, 0)),
        *column("nearest_shots", "prompt", [near] * 3, (1, 1, 1)),  # the best one
        *column("rag", "context", [zero, few[1], zero], (1, 1, 1)),
    ]
    table = answer_columns(Task(data=Data(file="rows.jsonl")), runs)
    assert _prompt_alone_passes(table, table["rag"]) == {"c0": False, "c1": False, "c2": True}


@pytest.mark.long
def test_a_plan_without_minutes_for_all_reads_on_fewer_cases(study):
    results = study().results
    failed = set(results.evidence.diagnosis.cause)
    before = [run for run in results.runs if run.spec.name != SHOWN]

    def asked(paid, read):
        bench = SimpleNamespace(task=results.task, split=results.split)
        (probe,) = probes(bench, results.plan.arms, before, paid, read)
        return len(probe.cases & failed), len(probe.cases - failed)

    assert asked(False, None) == (60, 60)
    assert asked(False, 20) == asked(True, 20) == (20, 20)
    assert asked(False, 60) == asked(True, None) == (60, 60)


def test_a_study_that_reads_on_twenty_failures_says_how_many_it_read(study, monkeypatch):
    monkeypatch.setattr(planning, "diagnosis_minutes", lambda across, by_rule: 99.0 * sum(
        probe.requests > 40 for probe in across))  # fmt: skip
    done = study()
    assert done.results.plan.read == 20
    seen = done.results.evidence.diagnosis
    assert (seen.n_fail, len(seen.cause)) == (60, 60)
    rows = [(row.cause, round(row.share * row.n)) for row in done.verdict.wrong]
    assert rows == [("convention", 20), ("untried", 40)]
    assert [(one.name, one.tried, one.passed) for one in seen.untried] == [
        ("nearest_shots", 20, 40)
    ]
    told = " ".join(ladder_screen(done.results, 80, False).plain.split())
    few = "Only 20 of 60 failures were tried far enough to have a cause: nearest_shots was tried"
    assert told.index(few) < told.index("20 of 60 failures (33 %")
    assert "The other 40: not tried 40 (67 %)." in told
    monkeypatch.undo()


def test_a_study_that_reads_nothing_across_still_decides(study, monkeypatch):
    monkeypatch.setattr(ScheduleRunner, "_expected", lambda self, planned, pace: 99.0)
    done = study()
    assert done.results.plan.read == 0
    assert SHOWN not in {run.spec.name for run in done.results.runs}
    assert done.verdict.arm == "nearest_shots"
    assert done.verdict.wrong == ()
    assert "no time was left to read the matrix across" in done.verdict.missing["/wrong"]


def _pointer(results, name, field):
    at = [arm.name for arm in results.verdict.arms].index(name)
    return f"/arms/{at}/{field}"


@pytest.mark.long
def test_an_arm_that_passes_no_more_than_the_base_gets_no_placebo(study):
    results = study(reads=False).results
    assert SHOWN not in {run.spec.name for run in results.runs}
    seen = results.evidence.diagnosis
    assert not any(effect.acts for effect in seen.effects)
    assert {wrong.cause for wrong in results.verdict.wrong} == {"hard"}


def test_where_nothing_fails_there_is_nothing_to_seek(study, tmp_path):
    logged = [{"id": f"r{i}", "answer": CODES[KINDS[i % 6]]} for i in range(60)]
    studies.lines(tmp_path / "logged.jsonl", logged)
    done = study(n=60, present={"answers": "logged.jsonl"}, arms=["present", "nearest_shots"])
    assert done.verdict.wrong == ()
    assert "nothing fails" in done.verdict.missing["/wrong"]


def test_of_few_failures_the_likeliest_are_named(study):
    wrong = study(n=90).verdict.wrong
    assert [row.cause for row in wrong[:2]] == ["few", "convention"]


def test_of_fifty_failures_none_is_given_a_cause_that_met_no_placebo(study, monkeypatch):
    luck = random.Random(7)

    def lucky(prompt, limits):
        return luck.choice("PQRSTU") if len(prompt) > 2 else reader(False)(prompt, limits)

    monkeypatch.setitem(scripted._BUILT_IN, "lucky", lucky)
    done = study(n=150, model="scripted:lucky")
    seen = done.results.evidence.diagnosis
    assert (seen.n_fail, seen.few) == (50, True)
    assert SHOWN in {run.spec.name for run in done.results.runs}
    named = [row for row in done.verdict.wrong if row.arm]
    assert all(row.placebo for row in named)
    why = [text for key, text in done.verdict.missing.items() if key.endswith("/placebo")]
    assert set(why) <= {"no remedy stands behind this cause"}


@pytest.mark.long
def test_what_runs_today_is_what_is_read_across(study, tmp_path):
    logged = [{"id": f"r{i}", "answer": "?" if i % 2 else CODES[KINDS[i % 6]]} for i in range(180)]
    studies.lines(tmp_path / "logged.jsonl", logged)
    done = study(present={"answers": "logged.jsonl"},
                 arms=["present", "majority", "zero_shot", "nearest_shots"])  # fmt: skip
    seen = done.results.evidence.diagnosis
    assert (seen.arm, seen.n_fail) == ("present", 90)


def test_of_recorded_answers_nobody_can_say_what_is_hard(study, tmp_path):
    logged = [{"id": f"r{i}", "answer": "?" if i % 2 else CODES[KINDS[i % 6]]} for i in range(180)]
    studies.lines(tmp_path / "logged.jsonl", logged)
    done = study(present={"answers": "logged.jsonl"}, arms=["present", "majority"])
    assert done.verdict.wrong == ()
    why = done.verdict.missing["/wrong"]
    assert why.startswith("the causes are not known: only tolerant metric and")
    told = " ".join(ladder_screen(done.results, 120).plain.split())
    assert "What was wrong" not in told, "nothing that one could act on"
    assert "hard for this model" not in told + page(done.results)


def test_the_screens_say_what_was_wrong_in_a_sentence(study):
    results = study().results
    screen = ladder_screen(results, 120).plain
    told = " ".join(screen.split())
    assert "What was wrong: zero_shot fails 60 of 180." in told
    assert "%) were a convention that the prompt does not state: nearest_shots rescues" in told
    assert "placebo" not in screen.split("What was wrong")[0]
    html = page(results)
    assert 'href="#cause=convention"' in html
    assert "What exactly was wrong?" in html


def copies(results, spec, right, folds=range(5)):
    """Return runs of an arm as if it had been measured: those of zero_shot with other scores."""
    own = [run for run in results.runs if run.spec.name == "zero_shot" and run.fold in folds]
    return [
        run.model_copy(
            update={
                "spec": spec,
                "scores": tuple(
                    score.model_copy(update={"value": float(right(answer.case, score.value))})
                    for answer, score in zip(run.answers, run.scores, strict=True)
                ),
                "recipe": None,
            }
        )
        for run in own
    ]


def reread(results, runs):
    metric = scorer(results.task)
    doubted = label_doubts(results.task, results.cases)
    return diagnose_runs(results.task, results.cases, runs, metric, results.split, doubted)


TRAINED = Spec(name="lora", arm="lora", tool="tune", simplicity=60)


@pytest.mark.long
def test_a_whole_arm_shows_what_it_fails_where_its_pilot_was_not_tried(study):
    """The pilot and its placebo stand on one fold; the arm itself passes half of the failures."""
    results = study(n=900, arms=["majority", "zero_shot"]).results
    small = TRAINED.model_copy(update={"name": "lora pilot", "role": "ceiling"})
    beside = TRAINED.model_copy(update={"name": "lora pilot placebo", "role": "placebo",
                                        "of": "lora pilot"})  # fmt: skip

    def half(case, was):
        return was or int(case[1:]) % 12 < 6

    pilots = [
        *copies(results, beside, lambda case, was: was, [0]),
        *copies(results, TRAINED, half),
    ]
    acting = reread(results, [*results.runs, *copies(results, small, half, [0]), *pilots])
    counts = {row.cause: round(row.share * row.n) for row in acting.wrong}
    mine = {a.case for r in results.runs if r.fold == 0 for a in r.answers} & set(acting.cause)
    rescued = sum(half(case, False) for case in acting.cause)
    assert acting.n_fail == sum(counts.values()) == 300
    assert counts["learnable"] == sum(half(case, False) for case in mine)
    assert counts["untried"] == rescued - counts["learnable"]
    assert counts["hard"] == 300 - rescued
    assert {row.arm for row in acting.wrong} == {"lora", None}
    (wait,) = acting.untried
    assert (wait.n, wait.passed, wait.tried) == (counts["untried"],) * 2 + (len(mine),)
    never = copies(results, small, lambda case, was: was, [0])
    silent = reread(results, [*results.runs, *never, *pilots])
    assert not any(effect.acts for effect in silent.effects)
    assert {row.cause for row in silent.wrong} == {"hard"}, "shown to rescue less than a quarter"


@pytest.mark.every(2)
@pytest.mark.parametrize(
    ("state", "because", "waits"),
    [
        ("skipped", str(NO_ROOM), True),
        ("skipped", "its model can't be asked: no answer", True),
        ("failed", "the loss is not finite", True),
        ("skipped", "it needs a model whose weights are here", False),
    ],
)
def test_what_there_was_no_room_for_leaves_failures_untried(study, state, because, waits):
    results = study(reads=False).results
    lost = Run(spec=TRAINED, seed=0, fold=None, state=state, because=because)
    seen = reread(results, [*results.runs, lost])
    assert [row.cause for row in seen.wrong] == ["untried" if waits else "hard"]
    assert [(one.name, one.n, one.because) for one in seen.untried] == (
        [("lora", 60, because)] if waits else []
    )
    other = lost.model_copy(update={"spec": Spec(name="few_shot", arm="few_shot")})
    again = reread(results, [*results.runs, other])
    assert {row.cause for row in again.wrong} == {"hard"}, "examples were tried: nearest_shots"


def test_the_same_study_again_reads_the_same(study):
    first, second = study(), study()
    assert first.results == second.results


def test_without_a_prompt_and_what_runs_today_nothing_is_read(study, tmp_path):
    studies.lines(tmp_path / "other.jsonl", [{"id": f"r{i}", "answer": "P"} for i in range(180)])
    verdict = study(arms=["majority", "other"], answers={"other": "other.jsonl"}).verdict
    assert verdict.wrong == ()
    assert "/wrong" in verdict.missing


def test_the_plan_says_what_reading_across_may_ask_at_most(study, tmp_path):
    study()
    planned = plan(tmp_path / "task.yaml")
    assert [(arm.spec.name, arm.spec.of, arm.requests) for arm in planned.across] == [
        (SHOWN, "nearest_shots", 60)
    ]
    assert "half of it is expected to run" in plan_screen(planned, 120).plain


def test_a_sample_of_failed_cases_begins_with_the_first_fold_where_training_is_probed():
    passed = {f"c{at:02}": at % 4 == 0 for at in range(40)}
    fold = {case: int(case[1:]) % 5 for case in passed}
    base = placebos.AnswerColumn(Spec(name="zero_shot", arm="zero_shot"), {}, passed, {})
    task = Task(data={"file": "rows.jsonl"}, success={"metric": "exact"})
    chosen = placebos._sampled_cases(task, base, fold, 10, 3)
    fails = [case for case in chosen if not passed[case]]
    assert len(fails) == 10
    assert {case for case in passed if fold[case] == 0 and not passed[case]} < set(fails)
    assert {fold[case] for case in chosen if passed[case]} == {0, 1}
    drawn = placebos._sampled_cases(task, base, {}, 10, 0)  # rows in time order have no fold here
    assert len({fold[case] for case in drawn}) > 2


@pytest.mark.long
def test_a_grammar_is_not_praised_for_the_examples_in_its_prompt(study):
    labels = list(CODES.values())
    arms = ["zero_shot", {"nearest_shots": {}}, "constrained"]
    success = {"margin": 0.02}  # small enough that examples leave something to gain
    found = study(output={"type": "label", "labels": labels}, success=success, arms=arms)
    seen = found.results.evidence.diagnosis
    effects = {effect.name: effect for effect in seen.effects}
    # The scripted model knows no grammar, so its answers are those of the prompt it stands on: in
    # four folds that with examples, in one the plain one, as the dev rows chose.
    assert effects["constrained"].rescue == effects["constrained"].placebo_rescue > 0.7
    assert not effects["constrained"].acts
    assert effects["constrained"].placebo.endswith("or its prompt alone")
    assert effects["nearest_shots"].acts
    assert found.verdict.wrong[0].cause == "convention"


def test_a_placebo_asks_with_the_examples_of_its_arm(study):
    runs = study(arms=["zero_shot", {"few_shot": {"k": 8, "draws": 3}}], n=60).results.runs
    shots = {r.spec.name: {run.fold: run.recipe.shots for run in runs if run.spec == r.spec}
             for r in runs if r.recipe and r.recipe.kind == "few"}  # fmt: skip
    (own, placebo) = sorted(shots, key=len)
    assert shots[placebo].items() <= shots[own].items()


@pytest.mark.long
def test_right_answers_that_the_rows_contradict_are_listed(study, tmp_path):
    clean = study(arms=["zero_shot", "majority"]).results.evidence.diagnosis
    assert clean.doubts == ()
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    rows[1]["input"] = rows[6]["input"].upper()  # of another kind, so another answer
    studies.lines(tmp_path / "rows.jsonl", rows)
    seen = run(tmp_path / "task.yaml", BRIEF).results.evidence.diagnosis
    assert {doubt.case for doubt in seen.doubts} >= {"r1"}
    assert "r2" not in {doubt.case for doubt in seen.doubts}
    assert "Right answers to look at again" in page(run(tmp_path / "task.yaml", BRIEF).results)


@pytest.mark.long
def test_of_several_seeds_the_one_that_would_be_built_is_read(study):
    results = study(n=60).results
    run_of = next(r for r in results.runs if r.spec.name == "zero_shot" and r.fold == 0)
    wrong = tuple(score.model_copy(update={"value": 0.0}) for score in run_of.scores)

    def passed(first, second):
        runs = [run_of.model_copy(update={"seed": 0, "dev": first}),
                run_of.model_copy(update={"seed": 1, "dev": second, "scores": wrong})]  # fmt: skip
        return any(answer_columns(results.task, runs)["zero_shot"].passed.values())

    assert passed(0.9, 0.2)
    assert not passed(0.2, 0.9)
    assert passed(0.5, 0.5), "of equals the smaller seed"


@pytest.mark.parametrize("known", [4, 6])
def test_what_another_model_passes_is_not_hard_for_this_one(study, tmp_path, monkeypatch, known):
    draw = random.Random(4)
    logged = [
        {"id": f"r{i}", "answer": CODES[KINDS[i % 6]] if draw.random() < 0.66 else "no"}
        for i in range(180)
    ]
    studies.lines(tmp_path / "logged.jsonl", logged)
    newer = {kind: CODES[kind] for kind in KINDS[:known]}
    monkeypatch.setitem(scripted._BUILT_IN, "newer", lambda prompt, limits: newer.get(
        scripted.last_user(prompt).split()[0], "?"))  # fmt: skip
    done = study(model="scripted:newer", arms=["majority", "present", "zero_shot"],
                 present={"answers": "logged.jsonl", "tool": "tune"})  # fmt: skip
    found = done.results.evidence.diagnosis
    assert found.arm == "present"
    causes = {row.cause: row for row in found.wrong}
    if known == 6:
        assert causes["capability"].share == 1
        assert causes["capability"].arm == "zero_shot"
        assert done.verdict.next.do != "measure bigger"
    else:
        assert "capability" not in causes
    assert "hard" not in causes
