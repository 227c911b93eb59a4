"""The matrix read down: the seed that would be built, and which arms are compared."""

from dataclasses import replace

import numpy as np
import pytest

from tuneworthy.explain.comparison import (
    _joined_notes,
    _total_seconds,
    compare,
)
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.case import Case, Message
from tuneworthy.records.evidence import Policy
from tuneworthy.records.reason import NO_ROOM
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.task import Data, Success, Task
from tuneworthy.rows.folds import Part, Split
from tuneworthy.stats import bounds
from tuneworthy.verdict.decide import decide

IDS = [f"c{i}" for i in range(20)]
FOLDS = (tuple(IDS[:10]), tuple(IDS[10:]))


def cases():
    turn = (Message(role="user", content="hi"),)
    return [Case(id=i, messages=turn, output="yes") for i in IDS]


def shape():
    parts = tuple(Part(train=(), dev=(), test=test) for test in FOLDS)
    parts = tuple(p.model_copy(update={"train": FOLDS[1 - i]}) for i, p in enumerate(parts))
    task = Task(data=Data(file="rows.jsonl"), success={"metric": "exact"})
    return ComparisonInputs(task, "study", Split(k=2, parts=parts))


def made(name, tool, value, fold, **more):
    spec = Spec(name=name, arm=name, tool=tool, simplicity=more.pop("simplicity", 0))
    answers = tuple(Answer(case=i, text="yes") for i in FOLDS[fold])
    scores = tuple(Score(value=value, valid=True) for _ in answers)
    return Run(spec=spec, seed=more.pop("seed", 0), fold=fold, state="measured", answers=answers,
               scores=scores, **more)  # fmt: skip


def arm(evidence, name):
    return next(found for found in evidence.arms if found.name == name)


def test_the_seed_best_on_dev_is_the_artefact_scored_not_the_best_on_the_scored_cases():
    runs = [
        made("lora", "tune", value, fold, seed=seed, dev=dev, learned=True)
        for fold in (0, 1)
        for seed, dev, value in ((0, 0.5, 1.0), (1, 0.6, 0.4))
    ]
    found = arm(compare(shape(), cases(), runs), "lora")
    assert (found.seed, found.seeds, found.score.mean) == (1, 2, pytest.approx(0.4))
    assert found.seed_sd == pytest.approx(0.6 / 2**0.5, abs=1e-6)


def test_every_arm_says_what_it_may_repair_measured_or_not():
    runs = [made("lora", "tune", 1.0, fold) for fold in (0, 1)]
    left = Run(spec=Spec(name="rag_lora", arm="rag_lora", tool="tune"), seed=0, fold=None,
               state="skipped", because=NO_ROOM)  # fmt: skip
    found = compare(shape(), cases(), [*runs, left])
    assert arm(found, "lora").repairs == ("latent", "learnable")
    assert arm(found, "rag_lora").repairs == ("knowledge", "latent", "learnable", "reading")
    assert arm(found, "rag_lora").more_minutes is None


def test_the_arm_with_the_best_score_takes_its_tools_place_whatever_its_dev_score():
    runs = []
    for fold, devs in enumerate(((0.9, 0.1), (0.2, 0.8))):
        runs += [made("zero", "prompt", 0.4, fold, dev=devs[0], simplicity=1),
                 made("few", "prompt", 0.9, fold, dev=devs[1], simplicity=2, learned=True),
                 made("today", "keep", 0.5, fold)]  # fmt: skip
    evidence = compare(shape(), cases(), runs)
    assert [a.name for a in evidence.arms if a.finalist] == ["few", "today"]
    assert all(a.compared for a in evidence.arms)
    assert arm(evidence, "few").chosen.startswith("the best of 2 arms of its tool")
    pairs = {(p.arm, p.versus): p for p in evidence.pairs}
    assert {("zero", "today"), ("zero", "few"), ("few", "zero")} <= set(pairs)
    assert pairs["few", "today"].factor > 1 == pairs["zero", "today"].factor


def test_arms_that_ran_on_different_folds_are_no_pair_and_leave_the_verdict_open():
    runs = [made("common", "classifier", 0.5, 0), made("zero", "prompt", 1.0, 1)]
    evidence = compare(shape(), cases(), runs)
    assert evidence.pairs == ()
    verdict = decide(evidence, (), Policy(margin=0.05))
    assert (verdict.arm, verdict.status) == ("common", "provisional")


def test_a_finalist_named_before_the_run_is_the_only_one_compared_of_its_tool():
    runs = [made(name, tool, value, fold) for fold in (0, 1) for name, tool, value in (
        ("zero", "prompt", 0.4), ("few", "prompt", 0.9), ("today", "keep", 0.5))]  # fmt: skip
    named = shape().task.model_copy(
        update={"success": Success(metric="exact", finalists={"prompt": "zero"})}
    )
    evidence = compare(replace(shape(), task=named), cases(), runs)
    assert [a.name for a in evidence.arms if a.compared] == ["zero", "today"]
    assert "before the run" in arm(evidence, "zero").chosen
    free = compare(shape(), cases(), runs)
    assert {p.level for p in free.pairs} < {p.level for p in evidence.pairs} or all(
        one.level <= 0.035 for one in free.pairs
    )


def test_names_ids_and_the_order_of_rows_and_arms_change_no_figure():
    rng = np.random.default_rng(4)
    table = {name: rng.random(20) < q for name, q in
             (("a", 0.5), ("b", 0.8), ("c", 0.8), ("today", 0.6))}  # fmt: skip
    table["b"] = rng.permutation(table["c"])  # two arms of one tool with the same mean

    def study(rename, ids, names):
        runs = []
        for name in names:
            answers = tuple(Answer(case=ids[i], text="yes") for i in range(20))
            scores = tuple(Score(value=float(v), valid=True) for v in table[name])
            spec = Spec(
                name=rename[name], arm="answers", tool="keep" if name == "today" else "prompt"
            )
            runs.append(Run(spec=spec, seed=0, fold=0, state="measured", answers=answers,
                            scores=scores))  # fmt: skip
        split = Split(k=1, parts=(Part(train=(), dev=(), test=tuple(ids)),))
        turn = (Message(role="user", content="hi"),)
        rows = [Case(id=i, messages=turn, output="yes") for i in ids]
        found = compare(replace(shape(), split=split), rows, runs)
        back = {new: old for old, new in rename.items()}
        return (
            {back[a.name]: (a.finalist, a.score) for a in found.arms},
            {(back[p.arm], back[p.versus]): (p.mean, p.low, p.high, p.level) for p in found.pairs},
        )

    names = list(table)
    plain = study({n: n for n in names}, IDS, names)
    swapped = {"a": "z", "b": "y", "c": "x", "today": "w"}
    again = study(swapped, [f"r{19 - i:02d}" for i in range(20)], names[::-1])
    assert again == plain
    assert {name for name, (final, _) in plain[0].items() if final} in (
        {"b", "today"},
        {"c", "today"},
    )


def test_the_best_of_several_arms_of_a_tool_has_a_lower_end_that_pays_for_the_choice():
    rng = np.random.default_rng(5)
    runs = []
    for number in range(6):
        spec = Spec(name=f"p{number}", arm="answers", tool="prompt")
        values = rng.random(20) < 0.5 + number / 20
        scores = tuple(Score(value=float(v), valid=True) for v in values)
        answers = tuple(Answer(case=i, text="yes") for i in IDS)
        runs.append(Run(spec=spec, seed=0, fold=0, state="measured", answers=answers,
                        scores=scores))  # fmt: skip
    split = Split(k=1, parts=(Part(train=(), dev=(), test=tuple(IDS)),))
    found = compare(replace(shape(), split=split), cases(), runs)
    best = next(a for a in found.arms if a.finalist)
    plain = bounds.mean_interval(
        [s.value for s in runs[int(best.name[1])].scores], bounds.CHOSEN_ARM_LEVEL
    )
    assert best.score.low < round(plain[1], 6)
    assert best.score.high == pytest.approx(plain[2], abs=1e-6)


@pytest.mark.parametrize(("timed", "tail"), [(30, 28.55), (19, None), (0, None)])
def test_a_percentile_of_few_times_is_null_with_its_reason(timed, tail):
    times = tuple(float(ms) for ms in range(1, timed + 1))
    runs = [made("zero", "prompt", 1.0, 0, latency_ms=times or None, fingerprint={"engine": "x"}),
            made("zero", "prompt", 1.0, 1, fingerprint={"engine": "x"})]  # fmt: skip
    found = arm(compare(shape(), cases(), runs), "zero")
    if not timed:
        assert found.latency_ms is None
        assert "not timed" in found.missing["latency_ms"]
        return
    assert found.latency_ms.p50 == pytest.approx((timed + 1) / 2)
    assert found.latency_ms.p95 == (None if tail is None else pytest.approx(tail))
    assert ("latency_ms.p95" in found.missing) is (tail is None)


def test_what_runs_today_keeps_its_place_beside_an_arm_of_its_tool():
    runs = []
    for fold in (0, 1):
        runs += [made("cheap", "prompt", 1.0, fold), made("present", "tune", 0.5, fold, dev=0.1),
                 made("retuned", "tune", 1.0, fold, dev=0.9),
                 made("older", "tune", 0.0, fold, dev=0.2)]  # fmt: skip
    evidence = compare(shape(), cases(), runs)
    finalists = {a.name for a in evidence.arms if a.finalist}
    assert finalists == {"cheap", "present", "retuned"}
    pairs = {(pair.arm, pair.versus): pair.mean for pair in evidence.pairs}
    assert pairs["cheap", "present"] == 0.5
    assert pairs["present", "retuned"] == -0.5


def column_runs(name, tool, values, **more):
    """A recorded arm with these scores on the first cases, one split."""
    scores = tuple(Score(value=float(v), valid=True) for v in values)
    answers = tuple(Answer(case=i, text="yes") for i in IDS[: len(scores)])
    spec = Spec(name=name, arm="answers", tool=tool, role=more.pop("role", "candidate"))
    run = Run(spec=spec, seed=0, fold=0, state="measured", answers=answers, scores=scores)
    stop = Run(spec=spec, seed=0, fold=None, state="stopped_early", because="stopped")
    return [run, stop] if more.get("stopped") else [run]


def one_split(**more):
    split = Split(k=1, parts=(Part(train=(), dev=(), test=tuple(IDS)),))
    return replace(shape(), split=split, **more)


def test_an_arm_that_was_stopped_early_takes_no_place_from_one_that_was_measured_whole():
    runs = [
        *column_runs("today", "keep", [1, 0] * 10),
        *column_runs("whole", "prompt", [0, 0, 1, 1] + [1] * 16),
        *column_runs("cut", "prompt", [1, 1, 1, 0], stopped=True),
    ]
    found = compare(one_split(), cases(), runs)
    assert {a.name for a in found.arms if a.finalist} == {"today", "whole"}


def test_a_reference_with_fewer_rows_is_paid_for_like_one_with_all():
    rng = np.random.default_rng(6)
    runs = [column_runs(f"p{k}", "prompt", rng.random(20) < 0.6)[0] for k in range(6)]
    levels = []
    for rows in (20, 16):
        reference = column_runs("majority", None, rng.random(rows) < 0.6, role="reference")
        found = compare(one_split(), cases(), [*runs, *reference])
        levels += [p.low_level for p in found.pairs if p.versus == "majority"]
    assert max(levels) < 0.02


def test_where_humans_correct_a_judge_arms_share_the_level_by_bonferroni():
    runs = [column_runs(f"p{k}", "prompt", [1] * 20)[0] for k in range(5)]
    found = compare(one_split(grades={}), cases(), runs)
    assert [p.level for p in found.pairs] == pytest.approx([0.035 / 4] * len(found.pairs))


def test_a_judges_zeros_are_no_measured_total_losses():
    runs = column_runs("a", "prompt", [1, 0.5] * 9 + [0, 1])
    assert arm(compare(one_split(), cases(), runs), "a").lost.mean == pytest.approx(0.05)
    assert arm(compare(one_split(grades={}), cases(), runs), "a").lost is None


def test_a_finalist_that_was_not_measured_is_said_and_the_others_compete():
    task = shape().task.model_copy(
        update={"success": Success(metric="exact", finalists={"prompt": "gone"})}
    )
    runs = [*column_runs("a", "prompt", [1] * 20), *column_runs("b", "prompt", [0] * 20)]
    found = compare(one_split(task=task), cases(), runs)
    assert "gone was named before and not measured" in arm(found, "a").chosen
    alone = compare(one_split(task=task), cases(), runs[:1])
    assert "gone was named before and not measured" in arm(alone, "a").chosen


def test_notes_of_folds_that_differ_in_their_figures_alone_are_shown_once():
    def run(fold, *notes):
        spec = Spec(name="rag", arm="rag", tool="context")
        return Run(spec=spec, seed=0, fold=fold, state="measured", notes=notes)

    same = "stands on zero_shot: few_shot was no better than zero_shot on 40 dev rows"
    runs = [run(0, f"{same} (.21, .19)", "no vectors"), run(1, f"{same} (.20, .20)", "no vectors")]
    both = f"no vectors; {same} (.20, .20); the figures differ over 2 runs"
    assert str(_joined_notes([*runs, run(2)])) == both
    assert str(_joined_notes(runs[1:])) == f"no vectors; {same} (.20, .20)"
    assert _joined_notes([run(0)]) is None


def test_the_seconds_of_a_study_are_not_those_that_a_recorded_system_once_took():
    spec = Spec(name="own", arm="answers", tool=None)
    answers = tuple(Answer(case=case.id, text="x", seconds=30.0) for case in cases())
    scores = tuple(Score(value=1.0) for _ in answers)
    logged = Run(spec=spec, seed=0, fold=0, state="measured", answers=answers, scores=scores,
                 recorded=True)  # fmt: skip
    asked = logged.model_copy(update={"recorded": False, "fit_seconds": 2.0})
    assert _total_seconds([logged]) == 0
    assert _total_seconds([logged, asked]) == 30.0 * len(answers) + 2


def drawn(rng, **rates):
    """Return the evidence of arms that are right at these rates; a name's last digit is its rank.

    Arms of a rate share the luck of a row in part; `k` arms run today, `p` arms are prompts.
    """
    ids = [f"c{i}" for i in range(250)]
    parts = (Part(train=(), dev=(), test=tuple(ids)),)
    task = Task(data=Data(file="rows.jsonl"), success={"metric": "exact"})
    inputs = ComparisonInputs(task, "study", Split(k=1, parts=parts))
    hard = rng.standard_normal(250)
    runs = []
    for name, share in rates.items():
        own = 0.8 * hard + 0.6 * rng.standard_normal(250)
        right = own < np.quantile(own, share)  # exactly this share of the rows
        tool = "keep" if name[0] == "k" else "prompt"
        spec = Spec(name=name, arm=name, tool=tool, simplicity=int(name[1:]))
        scores = tuple(Score(value=float(value), valid=True) for value in right)
        answers = tuple(Answer(case=i, text="yes") for i in ids)
        runs.append(Run(spec=spec, seed=0, fold=0, state="measured", answers=answers,
                        scores=scores))  # fmt: skip
    turn = (Message(role="user", content="hi"),)
    return compare(inputs, [Case(id=i, messages=turn, output="yes") for i in ids], runs)


@pytest.mark.parametrize(
    ("rates", "stands"),
    [
        ({"k0": 0.6, "p1": 0.8, "p2": 0.816, "p3": 0.812}, "p1"),  # ahead by luck: not shown
        ({"k0": 0.6, "p1": 0.8, "p2": 0.9, "p3": 0.904}, "p2"),  # shown: climb to where it stops
        ({"k0": 0.6, "p1": 0.6, "p2": 0.72, "p3": 0.8}, "p3"),
        # p1 is not shown to be worse than p2, but only p2 is shown to beat what runs today
        ({"k0": 0.70, "p1": 0.724, "p2": 0.78}, "p2"),
    ],
)
def test_the_simplest_arm_stands_for_its_tool_unless_another_is_shown_to_beat_it(rates, stands):
    for seed in range(3):
        found = drawn(np.random.default_rng(seed), **rates)
        assert [a.name for a in found.arms if a.finalist] == ["k0", stands]
        low = next(p.low for p in found.pairs if (p.arm, p.versus) == (stands, "k0"))
        assert low > 0
    why = arm(found, stands).chosen
    assert why.startswith("the best of" if stands == max(rates, key=rates.get) else "the simplest")
