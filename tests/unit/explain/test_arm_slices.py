"""Slices of the cases: who is in them, small ones greyed, and no case picked by its own failure."""

import pytest

from tuneworthy.explain.arm_slices import rare_word_cases
from tuneworthy.explain.arm_slices import slices as slices_of
from tuneworthy.matrix.columns import columns_of
from tuneworthy.matrix.ladder import best_artefact_run, best_runs
from tuneworthy.matrix.matrix import Matrix
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.case import Case, Message
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.split import Split
from tuneworthy.records.task import Data, Judge, Output, Success, Task
from tuneworthy.stats.bounds import mean_interval, rate
from tuneworthy.stats.clusters import Groups

TASK = Task(data=Data(file="rows.jsonl"), output=Output(type="text"))
ALONE = Split(k=1, parts=())


def case(number, text="some words", **more):
    turn = (Message(role="user", content=text),)
    return Case(id=f"c{number:03}", messages=turn, output=more.pop("output", "yes"), **more)


def run(name, cases, values, **more):
    return Run(
        spec=Spec(name=name, arm=name, tool="prompt"),
        seed=more.pop("seed", 0),
        fold=more.pop("fold", 0),
        state="measured",
        answers=tuple(Answer(case=c.id, text="x") for c in cases),
        scores=tuple(Score(value=float(v)) for v in values),
        **more,
    )


def slices(task, cases, runs, arms, split, others=()):
    return slices_of(Matrix.explaining(task, split, runs), cases, arms, others)


def by_kind(found, kind):
    return {one.name: one for one in found.slices if one.kind == kind}


def test_a_planted_weakness_stands_in_its_slice_and_nowhere_else():
    cases = [case(i, "word " * (1 + i)) for i in range(90)]
    weak = [0.0 if i >= 60 else 1.0 for i in range(90)]  # long inputs fail
    found = slices(
        TASK, cases, [run("a", cases, weak), run("b", cases, [1] * 90)], ("a", "b"), ALONE
    )
    length = by_kind(found, "length")
    assert [one.score.mean for one in length.values()] == [1.0, 1.0, 0.0]
    assert length["long"].delta.high < 0
    assert length["short"].delta.low <= 0 <= length["short"].delta.high
    paid = rate(0, 30, 0.05 / len(found.slices))
    assert length["long"].score.high == pytest.approx(paid[1], abs=1e-6)
    assert found.n == 90
    assert "slices were looked at" in found.said[0]


def test_copies_of_an_input_widen_a_slice_as_they_widen_the_study():
    cases = [case(i, f"word {i // 15}") for i in range(90)]  # six inputs of fifteen copies
    values = [float(i // 15 % 2) for i in range(90)]
    groups = {c.id: cases[i // 15 * 15].id for i, c in enumerate(cases)}
    copies = Split(k=1, parts=(), groups=groups, only_copies=True)
    runs = [run("a", cases, values), run("b", cases, [0] * 90)]
    found = slices(TASK, cases, runs, ("a", "b"), copies)
    long = by_kind(found, "length")["long"]
    own = Groups([0] * 15 + [1] * 15, copies=True)
    expected = mean_interval([0.0] * 15 + [1.0] * 15, 0.05 / len(found.slices), groups=own)
    assert (long.score.mean, long.score.low, long.score.high) == pytest.approx(expected, abs=1e-6)
    assert long.delta.low == -1.0, "two inputs show nothing"
    alone = by_kind(slices(TASK, cases, runs, ("a", "b"), ALONE), "length")["long"]
    assert alone.delta.low > 0, "the control: thirty independent rows do"


def test_without_a_weakness_no_slice_shows_one():
    cases = [case(i, "word " * (1 + i % 7)) for i in range(80)]
    values = [i % 2 for i in range(80)]
    found = slices(
        TASK, cases, [run("a", cases, values), run("b", cases, values)], ("a", "b"), ALONE
    )
    assert found.slices
    assert all(one.delta.low <= 0 <= one.delta.high for one in found.slices)


def test_small_slices_are_marked_and_counted():
    cases = [case(i) for i in range(45)]
    found = slices(TASK, cases, [run("a", cases, [1] * 45)], ("a", None), ALONE)
    length = by_kind(found, "length")
    assert {one.n for one in length.values()} == {15}
    assert all(one.small and one.rival is None and one.delta is None for one in length.values())
    assert any("greyed" in line for line in found.said)


def test_the_hardest_tenth_is_chosen_by_other_arms_alone():
    cases = [case(i) for i in range(100)]
    own = [0.0 if i < 10 else 1.0 for i in range(100)]  # what a and b fail is easy for the others
    other = [0.0 if i >= 90 else 1.0 for i in range(100)]
    runs = [run("a", cases, own), run("b", cases, own), run("z", cases, other)]
    hard = by_kind(slices(TASK, cases, runs, ("a", "b"), ALONE), "hardest")
    assert hard["the hardest tenth for the other arms"].score.mean == 1.0
    assert hard["the hardest tenth for the other arms"].n == 10
    alone = slices(TASK, cases, runs[:2], ("a", "b"), ALONE)
    assert not by_kind(alone, "hardest")
    assert "other arms answered fewer than 10" in alone.missing["hardest"]


def test_classes_groups_and_times_have_slices_where_rows_have_them():
    label = Task(data=Data(file="rows.jsonl"), output=Output(type="label", labels=("x", "y")))
    cases = [
        case(i, output="xy"[i % 2], group=f"g{i // 30}", time=f"2024-01-{1 + i // 3:02}")
        for i in range(60)
    ]
    found = slices(label, cases, [run("a", cases, [i % 2 for i in range(60)])], ("a", None), ALONE)
    assert {n: s.score.mean for n, s in by_kind(found, "class").items()} == {"x": 0.0, "y": 1.0}
    assert set(by_kind(found, "group")) == {"g0", "g1"}
    assert all(s.score.high - s.score.low < 0.7 for s in by_kind(found, "group").values())
    assert list(by_kind(found, "time")) == ["oldest", "between", "newest"]
    few = [case(i) for i in range(6)]
    bare = slices(TASK, few, [run("a", few, [1] * 6)], ("a", None), ALONE)
    assert {"class", "group", "time", "hardest"} <= set(bare.missing)


def test_a_field_of_meta_with_few_values_has_slices_and_no_name_of_ours():
    cases = [
        case(i, meta={"language": ["German", "French"][i % 2], "note": f"own {i}",
                      "group": i % 3, "share": 0.5, "country": "AT"})
        for i in range(60)
    ]  # fmt: skip
    runs = [run("a", cases, [i % 2 for i in range(60)]), run("b", cases, [1] * 60)]
    found = slices(TASK, cases, runs, ("a", "b"), ALONE)
    language = by_kind(found, "language")
    assert {name: one.score.mean for name, one in language.items()} == {"French": 1, "German": 0}
    assert language["German"].delta.high < 0
    assert set(by_kind(found, "meta.group")) == {"0", "1", "2"}
    assert "group" in found.missing
    assert not {"note", "share", "country"} & {one.kind for one in found.slices}


def test_an_arm_without_a_score_has_no_slices():
    assert slices(TASK, [case(0)], [], ("a", None), ALONE) is None


def test_rare_words_are_those_that_few_rows_hold():
    cases = [case(i, "the common words") for i in range(9)]
    odd = [case(50 + i, f"xylophone{i} quasar{i} words") for i in range(3)]
    assert rare_word_cases([*cases, *odd]) == {c.id for c in odd}
    assert rare_word_cases(cases[:3]) == frozenset()
    elsewhere = [case(100 + i, "xylophone0 quasar0 words") for i in range(40)]
    assert odd[0].id not in rare_word_cases([*cases[:6], odd[0], case(9, "zebra")], elsewhere)


def test_the_run_that_would_be_built_is_best_on_dev():
    cases = [case(0), case(1)]
    first = run("a", cases[:1], [0], dev=0.4, fold=0, artefact="f0")
    best = run("a", cases[:1], [1], dev=0.6, fold=0, seed=1, artefact="f0s1")
    other = run("a", cases[1:], [1], dev=0.5, fold=1, artefact="f1")
    assert best_runs([first, best, other], "a") == [best, other]
    assert best_artefact_run([first, best, other], "a") == best
    assert columns_of([first, best, other])["a"].scores == {"c000": 1.0, "c001": 1.0}
    assert best_artefact_run([run("a", cases, [1, 1])], "a") is None


def test_slices_survive_json_inside_the_evidence():
    from tuneworthy.records.evidence import Evidence

    cases = [case(i) for i in range(30)]
    found = slices(TASK, cases, [run("a", cases, [1] * 30)], ("a", None), ALONE)
    one = Evidence(
        task="t", hash="h", n=30, looks=1, alpha=0.05, arms=(), pairs=(), slices=(found,)
    )
    assert Evidence.model_validate(one.plain()) == one


def test_slices_of_a_judged_study_say_that_no_human_corrects_them():
    judged = TASK.model_copy(
        update={"success": Success(metric="judge", judge=Judge(model="scripted:x", grades="g"))}
    )
    cases = [case(i) for i in range(12)]
    runs = [run("a", cases, [1.0] * 12)]
    note = "judge's own"
    assert note in slices(judged, cases, runs, ("a", None), ALONE).said[-1]
    assert not any(note in line for line in slices(TASK, cases, runs, ("a", None), ALONE).said)
