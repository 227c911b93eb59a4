"""What is measured of rows and metric: each figure on rows where it is known, and its control."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tuneworthy.explain.consistency import form_of
from tuneworthy.explain.metric_ladder import (
    another_row,
    blocking_reasons,
    first_half,
    ranking_auc,
    replace_one_part,
    score_of_text,
)
from tuneworthy.explain.questions import evaluation
from tuneworthy.matrix.design import Design
from tuneworthy.measure.further.measurement_limits import (
    MeasurementInputs,
    flip_share,
    largest_leak_shift,
    leaked_rows,
    soundness,
)
from tuneworthy.metrics import scorer
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case, Message
from tuneworthy.records.evidence import ArmResult, Evidence, Interval, Pair
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.task import Data, Judge, Output, Success, Task
from tuneworthy.rows.load import Loaded, load
from tuneworthy.stats import bounds
from tuneworthy.stats.power import minimum_detectable_effect

SETS = Path(__file__).parents[4] / "shared" / "data"
NOTHING = Evidence(task="t", hash="e" * 64, n=0, looks=1, alpha=0.05, arms=(), pairs=())


def case(i, output, text=None, **more):
    return Case(id=f"c{i}", messages=(Message(role="user", content=text or f"row {i}"),),
                output=output, **more)  # fmt: skip


def ground(cases, kind="text", metric=None, loaded=None, **success):
    labels = tuple(sorted({c.output for c in cases})) if kind == "label" else None
    task = Task(data=Data(file="rows.jsonl"), output=Output(type=kind, labels=labels),
                success=Success(**success))  # fmt: skip
    loaded = loaded or Loaded(task=task, cases=tuple(cases), rows=len(cases))
    return MeasurementInputs(task, loaded, cases, metric or scorer(task))


def json_rows(n=40):
    return [case(i, json.dumps({"kind": f"k{i % 4}", "sum": i, "open": bool(i % 2)}))
            for i in range(n)]  # fmt: skip


def test_the_ladder_of_a_sound_metric_falls_with_every_step():
    found = soundness(ground(json_rows(), "json"), NOTHING, ())
    assert found.gold == 1.0
    assert found.ladder == {"another row": 1.0, "one part replaced": 1.0, "cut at half": 1.0}
    texts = [case(i, f"the {w} sat on mat {i}") for i, w in enumerate("abcdefghijklmnop" * 2)]
    assert set(soundness(ground(texts), NOTHING, ()).ladder.values()) == {1.0}


def test_a_metric_that_sees_nothing_is_at_one_half_and_blocks():
    def blind(case, answer):
        return Score(value=1.0)

    cases = json_rows()
    found = soundness(ground(cases, "json", blind), NOTHING, ())
    assert set(found.ladder.values()) == {0.5}
    seen = load_audit(cases)
    assert "AUC 0.50" in blocking_reasons(seen[0], seen[1], cases, blind)[0]
    assert not blocking_reasons(seen[0], seen[1], cases, scorer(seen[0]))


def load_audit(cases):
    from tuneworthy.records.audit_report import Audit, DetectableDifference

    task = Task(data=Data(file="rows.jsonl"), output=Output(type="json"))
    nothing = {"prompt": (0, 0, 0, 0), "answer": (0, 0, 0, 0)}
    audit = Audit(
        rows=len(cases),
        used=len(cases),
        excluded={},
        scored=len(cases),
        folds=5,
        conflict_share=0.0,
        observations=(),
        classes=None,
        lengths=nothing,
        unit="characters",
        visible=DetectableDifference(n=40, d=0.2, factor=1, prompts=None, fitted=None),
    )
    return task, audit


@pytest.mark.parametrize("lost", [40, 10, 1])
def test_a_metric_that_gives_right_answers_no_score_is_broken_however_few_rows_there_are(lost):
    def fails(case, answer):
        return Unscored(reason="it raised") if int(case.id[1:]) < lost else one

    one, cases = Score(value=1.0), json_rows()
    found = soundness(ground(cases, "json", fails), NOTHING.model_copy(update={"n": 40}), ())
    assert (found.unscored.k, found.unscored.n) == (lost, 40)
    asked = evaluation.ask(NOTHING.model_copy(update={"soundness": found}), ground([]).task)
    assert asked.answer == "no"
    assert asked.because.startswith(f"the metric gives no score to {lost} of 40 right answers")
    assert asked.next == "mend the metric"


def test_one_unscored_right_answer_in_a_hundred_is_no_fault():
    def once(case, answer):
        return Unscored(reason="it raised") if case.id == "c7" else scorer(whole.task)(case, answer)

    whole = ground(json_rows(100), "json")
    found = soundness(ground(json_rows(100), "json", once), NOTHING, ())
    assert (found.unscored.share, found.gold) == (0.01, 1.0)
    asked = evaluation.ask(NOTHING.model_copy(update={"soundness": found}), whole.task)
    assert asked.answer == "not_measured"


def test_a_metric_that_only_looks_at_a_part_misses_the_part_replaced():
    def kind(case, answer):
        try:
            right = json.loads(answer.text)["kind"] == json.loads(case.output)["kind"]
        except (ValueError, KeyError):
            right = False
        return Score(value=float(right))

    found = soundness(ground(json_rows(), "json", kind), NOTHING, ())
    assert found.ladder["cut at half"] == 1.0
    assert 0.5 < found.ladder["one part replaced"] < 0.9


def test_a_step_takes_no_part_where_the_worse_answer_is_right():
    cases = [case(i, "yes") for i in range(30)]
    metric = scorer(ground(cases).task)
    gold = [score_of_text(metric, c, c.output) for c in cases]
    assert ranking_auc(cases, metric, gold, another_row(cases)) is None
    assert ranking_auc(cases, metric, gold, first_half) == 1.0
    assert first_half(case(0, "abcde")) == "ab"


def test_one_part_changes_one_thing_and_repeats():
    cases = [*json_rows(), case(98, "pay 12 of 30"), case(99, "!")]
    worse = replace_one_part(cases)
    for one in cases[:40]:
        new, old = json.loads(worse(one)), json.loads(one.output)
        assert sum(new[key] != old[key] for key in old) == 1
        assert worse(one) == replace_one_part(cases)(one)
    changed = zip(["pay", "12", "of", "30"], worse(cases[40]).split(), strict=True)
    assert sum(before != after for before, after in changed) == 1
    assert worse(cases[41]) is None


def test_consistency_of_rows():
    rows = [case(i, "ab"[i % 2], f"question {i} about {'xy'[i % 2] * 5}") for i in range(40)]
    torn = [case(90, "a", "the same text"), case(91, "b", "the same text")]
    found = soundness(ground([*rows, *torn], "label"), NOTHING, ())
    assert (found.contradictions.k, found.contradictions.n) == (2, 42)
    assert found.fewest_of_a_class == 21
    assert found.one_form is None
    assert found.missing["one_form"]
    assert soundness(ground(rows, "label"), NOTHING, ()).contradictions.k == 0
    planted = [*rows, case(92, "a", "question 7 about yyyyy"), *rows[:0]]
    assert soundness(ground(planted, "label"), NOTHING, ()).noise.k > 0
    assert soundness(ground(rows, "label"), NOTHING, ()).noise.k == 0


@pytest.mark.parametrize(
    ("text", "number", "form"),
    [('{"b": 1, "a": 2}', False, "object ['a', 'b']"), ("[1]", False, "array"),
     ("{oops", False, "broken JSON"), ("so 3 + 4\n#### 7", True, "#### 0"), ("-12.5", True, "0"),
     ("# Title\n\ntext\ntext\n- one\n- two", False, "heading text bullet"), ("", False, "")],
)  # fmt: skip
def test_forms(text, number, form):
    assert form_of(text, number) == form


def test_two_forms_are_seen():
    rows = [case(i, '{"a": 1}') for i in range(9)] + [case(9, '{"b": 1}')]
    assert soundness(ground(rows, "json"), NOTHING, ()).one_form.share == 0.9


def pair(wins, losses, n, factor=1.0, mean=None, wide=1.0):
    diffs = [1.0] * wins + [-1.0] * losses + [0.0] * (n - wins - losses)
    if mean is not None:  # graded: each differing case by as much
        diffs = [mean * n / (wins - losses) * diff for diff in diffs]
    found = bounds.paired(diffs, 0.025, factor=factor * wide)
    return Pair(arm="b", versus="a", n=n, mean=found.mean, low=found.low, high=found.high,
                level=0.025, factor=factor, wins=wins, losses=losses,
                differ=wins + losses)  # fmt: skip


def arm(name, mean):
    score = Interval(mean=mean, low=mean, high=mean)
    return ArmResult(name=name, tool="prompt", role="candidate", simplicity=0, options={},
                     state="measured", n=100, score=score, finalist=True)  # fmt: skip


def test_what_can_be_seen_is_that_of_the_two_best_arms():
    found = Evidence(task="t", hash="e" * 64, n=250, looks=1, alpha=0.05,
                     arms=(arm("a", 0.8), arm("b", 0.7), arm("c", 0.1)),
                     pairs=(pair(11, 9, 100, 1.5),))  # fmt: skip
    seen = soundness(ground([]), found, ())
    assert (seen.n, seen.differ) == (100, 0.2)
    assert seen.mde == pytest.approx(minimum_detectable_effect(100, 0.2, 1.5), rel=0.1)
    alone = soundness(ground([]), found.model_copy(update={"pairs": ()}), ())
    assert (alone.n, alone.differ) == (250, None)
    assert alone.mde == pytest.approx(minimum_detectable_effect(250, 0.2), abs=1e-6)
    nothing = soundness(ground([]), NOTHING, ())
    assert nothing.mde is nothing.unscored is None
    assert {"mde", "gold", "unscored", "ladder", "flips"} <= set(nothing.missing)
    apart = soundness(ground([]), found.model_copy(update={"pairs": (pair(42, 2, 100),)}), ())
    assert apart.differ == pytest.approx(0.04 + 0.05), "both ways, and the margin"
    assert apart.mde == pytest.approx(minimum_detectable_effect(100, 0.09), rel=0.1)
    grouped = found.model_copy(update={"pairs": (pair(11, 9, 100, 1.5, wide=1.4),)})
    assert soundness(ground([]), grouped, ()).mde == pytest.approx(1.4 * seen.mde, rel=0.1)
    small = found.model_copy(update={"pairs": (pair(24, 16, 100, mean=0.008),)})
    as_counted = found.model_copy(update={"pairs": (pair(24, 16, 100),)})
    assert soundness(ground([]), small, ()).mde < 0.4 * soundness(ground([]), as_counted, ()).mde
    never = found.model_copy(update={"pairs": (pair(0, 0, 100),)})
    assert soundness(ground([]), never, ()).mde > 0


@pytest.mark.parametrize("level", [0.035, 0.001])
@pytest.mark.parametrize(
    ("wins", "losses", "n", "groups"),
    [(0, 0, 60, 60), (0, 0, 150, 150), (5, 0, 300, 4), (6, 3, 100, 8), (30, 25, 200, 5)],
)
def test_no_difference_is_seen_that_the_bounds_of_the_pair_cover(wins, losses, n, groups, level):
    diffs = [0.0] * n
    for i in range(wins + losses):
        diffs[i * n // (wins + losses)] = 1.0 if i < wins else -1.0
    found = bounds.paired(diffs, level, groups=[i % groups for i in range(n)])
    two = Pair(arm="b", versus="a", n=n, mean=found.mean, low=found.low, high=found.high,
               level=level, factor=1.0, wins=wins, losses=losses, differ=wins + losses)  # fmt: skip
    whole = Evidence(task="t", hash="e" * 64, n=n, looks=1, alpha=0.05,
                     arms=(arm("a", 0.7), arm("b", 0.7)), pairs=(two,))  # fmt: skip
    half = (two.high - two.low) / 2
    seen = soundness(ground([]), whole, ())
    assert seen.mde >= 0.99 * half
    if (wins, n) == (0, 60):
        assert half > 0.05, "on 60 equal rows the verdict stays open at 5 points"
        asked = evaluation.ask(whole.model_copy(update={"soundness": seen}), ground([]).task)
        assert asked.answer == "no"
        assert asked.because.startswith("too small: 60 scored rows show differences from")


def test_few_differing_rows_are_seen_as_if_a_margin_apart():
    whole = Evidence(task="t", hash="e" * 64, n=30, looks=1, alpha=0.05,
                     arms=(arm("a", 0.8), arm("b", 0.7)), pairs=(pair(9, 0, 30),))  # fmt: skip
    seen = soundness(ground([]), whole, ())
    assert seen.differ == pytest.approx(0.05)
    assert (
        minimum_detectable_effect(30, 0.05)
        < seen.mde
        < whole.pairs[0].high - whole.pairs[0].mean + 0.1
    )


def test_a_judge_is_not_asked():
    def judge(case, answer):
        raise AssertionError("a judge was asked")

    graded = ground(json_rows(), "json", judge, judge=Judge(model="m", grades="g.jsonl"))
    found = soundness(graded, NOTHING, ())
    assert (found.ladder, found.gold, found.unscored) == ({}, None, None)
    assert "judge" in found.missing["ladder"]


def files(folder, test_rows):
    text = "please send the parcel to the new address in the long street number"
    train = [{"id": f"a{i}", "input": f"{text} {i} {'xyz'[i % 3] * 30}", "output": "ab"[i % 2]}
             for i in range(30)]  # fmt: skip
    for name, rows in (("train", train), ("test", test_rows)):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return load(Task(data=Data(train="train.jsonl", test="test.jsonl")).at(folder))


def run_of(loaded, right):
    cases = loaded.test
    return Run(
        spec=Spec(name="x", arm="x", tool="prompt"), seed=0, fold=None, state="measured",
        answers=tuple(Answer(case=c.id, text="") for c in cases),
        scores=tuple(Score(value=float(c.id in right)) for c in cases),
    )  # fmt: skip


def test_near_copies_of_training_rows_move_a_score(tmp_path):
    near = "please send the parcel to the new address in the long street number 0"
    test = [{"id": "t0", "input": f"{near} {'x' * 31}", "output": "a"}]
    test += [{"id": f"t{i}", "input": f"something else entirely {i * 97}", "output": "ab"[i % 2]}
             for i in range(1, 10)]  # fmt: skip
    loaded = files(tmp_path, test)
    assert leaked_rows(loaded) == {"t0"}
    assert largest_leak_shift(loaded, [run_of(loaded, {"t0"})], {}) == pytest.approx(0.1)
    assert largest_leak_shift(loaded, [run_of(loaded, {c.id for c in loaded.test})], {}) == 0.0
    clean = files(tmp_path, test[1:])
    assert leaked_rows(clean) == frozenset()
    assert largest_leak_shift(clean, [run_of(clean, {"t1"})], {}) == 0.0


def test_every_test_row_that_is_a_near_copy_of_a_training_row_is_leaked(tmp_path):
    near = "please send the parcel to the new address in the long street number 0"
    test = [{"id": f"t{i}", "input": f"{near} {'x' * 31}{i}", "output": "a"} for i in range(6)]
    other = [{"id": f"o{i}", "input": f"something else entirely {i * 97}", "output": "ab"[i % 2]}
             for i in range(6)]  # fmt: skip
    loaded, copies = files(tmp_path, test + other), {row["id"] for row in test}
    assert leaked_rows(loaded) == copies, "one pair connects all six, and names one"
    assert largest_leak_shift(loaded, [run_of(loaded, copies)], {}) == pytest.approx(0.5)
    missing = {}
    loaded = files(tmp_path, test)
    assert largest_leak_shift(loaded, [run_of(loaded, copies)], missing) is None
    assert missing == {"leak": "every scored row is a near-copy of a training row"}


def test_flips():
    first = {str(i): i < 10 for i in range(20)}
    assert flip_share(first, first, Design()).mean == 0.0
    changed = flip_share(first, {**first, "0": False, "19": True}, Design())
    assert (changed.mean, round(changed.low, 3)) == (0.1, 0.012)
    assert flip_share(first, {}, Design()) is None


@pytest.mark.full
@pytest.mark.skipif(not SETS.is_dir(), reason="the real sets are not here")
@pytest.mark.parametrize("name", ["banking77", "snips_json", "gsm8k"])
def test_the_metrics_of_real_sets_are_sound(name):
    task = Task(data=Data(train="train.jsonl", test="test.jsonl")).at(SETS / name)
    rows = load(task, "exclude", 0.5)
    real = MeasurementInputs(rows.task, rows, list(rows.test or ()), scorer(rows.task))
    found = soundness(real, NOTHING.model_copy(update={"n": len(rows.test or ())}), ())
    assert found.gold >= 0.99
    assert found.ladder["another row"] >= 0.95
