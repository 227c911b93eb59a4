"""How far prompting was taken: gain of the last doubling, share of the tuning gain, and why not."""

import pytest

from tuneworthy.measure.further.prompt_search import search_summary
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.case import Case, Message
from tuneworthy.records.evidence import ArmResult, Evidence
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.split import Part, Split
from tuneworthy.records.task import Data, Task
from tuneworthy.rows.copies import find_copies

TASK = Task(data=Data(file="rows.jsonl"))
N = 100
LATE = range(50, 90)
CASES = [
    Case(id=f"c{at:03}", messages=(Message(role="user", content=f"{at}"),), output="x")
    for at in range(N)
]


def run(name, right, tool="prompt", fold=None, ids=None, **more):
    """Return a run that is right on the cases whose number is below `right`."""
    asked = ids if ids is not None else range(N)
    spec = Spec(name=name, arm=name, tool=tool, simplicity=more.pop("simplicity", 10))
    return Run(
        spec=spec, seed=more.pop("seed", 0), fold=fold, state=more.pop("state", "measured"),
        answers=tuple(Answer(case=f"c{at:03}", text="x") for at in asked),
        scores=tuple(Score(value=float(at < right)) for at in asked), **more,
    )  # fmt: skip


def trace(*right, budget=8, rows=range(40)):
    """Return a search's trace whose best prompt after 1, 2, 4, ... passes `right` dev rows."""
    tried = [2**at for at in range(len(right))]
    steps = [
        {"tried": t, "scores": {f"c{at:03}": float(at < r) for at in rows}}
        for t, r in zip(tried, right, strict=True)
    ]
    return {"search": {"budget": budget, "steps": steps, "tried": []}}


def evidence(*present):
    arms = [
        ArmResult(name=name, tool="keep", role="candidate", simplicity=0, options={},
                  state="measured", present=True)
        for name in present
    ]  # fmt: skip
    return Evidence(task="t", hash="h", n=N, looks=1, alpha=0.05, arms=tuple(arms), pairs=())


def told(*runs, of=None, split=Split(k=1, parts=()), cases=CASES):
    """What is said of the search; the best scored arm of a tool stands for it, as compared."""
    found = of or evidence()
    total = {}
    for one in runs:
        name = (one.spec.tool, one.spec.name)
        total[name] = total.get(name, 0) + sum(score.value for score in one.scores)
    best = {tool: max((t, n) for n, t in total.items() if n[0] == tool)[1] for tool, _ in total}
    arms = [
        ArmResult(name=name, tool=tool, role="candidate", simplicity=0, options={},
                  state="measured", finalist=True)
        for tool, name in best.values()
    ]  # fmt: skip
    found = found.model_copy(update={"arms": (*found.arms, *arms)})
    return search_summary(TASK, find_copies(cases), runs, found, split)


def test_dev_rows_that_are_copies_widen_the_gain_of_the_search():
    same = (Message(role="user", content="where is my parcel"),)
    copies = [case.model_copy(update={"messages": same}) if at < 30 else case
              for at, case in enumerate(CASES)]  # fmt: skip
    found = run("optimised_prompt", 80, trace=trace(10, 10, 10, 40))
    alone, alike = told(found).gain, told(found, cases=copies).gain
    assert alone.mean == alike.mean == 0.75
    assert alone.low > 0.3
    assert alike.low < 0


def test_nothing_is_said_where_no_prompt_was_measured():
    assert told(run("lora", 80, "tune")) is None
    assert told(run("zero_shot", 0, state="skipped")) is None


def test_prompts_written_by_hand_are_no_search():
    found = told(run("zero_shot", 20, dev=0.2), run("few_shot", 30, simplicity=20, dev=0.4))
    assert (found.optimised, found.gain, found.arm, found.budget) == (False, None, "few_shot", 2)
    assert "only prompts written by hand" in found.because


def test_the_last_doubling_is_compared_row_by_row_over_all_folds():
    folds = [
        run("search", 50, fold=0, ids=range(50), trace=trace(4, 6, 10, 16, rows=range(40))),
        run("search", 50, fold=1, ids=range(50, N), trace=trace(50, 52, 60, 70, rows=LATE)),
    ]
    found = told(run("zero_shot", 20), *folds)
    assert found.optimised
    assert [(s.tried, s.n) for s in found.steps] == [(1, 80), (2, 80), (4, 80), (8, 80)]
    assert [s.score for s in found.steps] == [0.05, 0.1, 0.25, 0.45]
    assert found.gain.mean == pytest.approx(16 / 80)
    assert 0 < found.gain.low < 0.2 < found.gain.high < 0.4


def test_a_search_that_gains_nothing_is_bounded_and_more_rows_bound_it_closer():
    few = told(run("search", 50, trace=trace(9, 9, 9, 9))).gain
    many = told(run("search", 50, trace=trace(9, 9, 9, 9, rows=range(N)))).gain
    assert few.mean == many.mean == 0
    assert many.high < few.high < 0.12


def test_the_lower_end_pays_for_the_choice_among_the_new_prompts():
    """Nine of forty rows gained: shown for one new prompt, dearer for the best of eight."""
    one = told(run("search", 50, trace=trace(0, 7, budget=2))).gain
    four = told(run("search", 50, trace=trace(0, 0, 0, 0, 7, budget=16))).gain
    assert one.mean == four.mean
    assert one.high == four.high
    assert four.low < one.low


def test_a_fold_that_ran_out_of_edits_stays_where_it_was():
    folds = [
        run("search", 50, fold=0, ids=range(50), trace=trace(4, 8)),
        run("search", 50, fold=1, ids=range(50, N), trace=trace(60, 60, 60, rows=LATE)),
    ]
    found = told(*folds)
    assert [s.score for s in found.steps] == [14 / 80, 18 / 80, 18 / 80]
    assert found.gain.mean == 0


def test_one_prompt_is_no_doubling():
    found = told(run("search", 50, trace=trace(9, budget=1)))
    assert found.gain is None
    assert "never doubled" in found.because


def test_the_share_of_the_tuning_gain_and_its_interval():
    best = run("search", 50, simplicity=40, dev=0.5, trace=trace(9))
    runs = [run("zero_shot", 20, dev=0.2), best, run("lora", 80, "tune")]
    rho = told(*runs).rho
    assert rho.mean == 0.5
    assert 0.3 < rho.low < 0.5 < rho.high < 0.7
    above = told(*runs, run("present", 40, "keep"), of=evidence("present")).rho
    assert above.mean == 0.25, "what runs today is the base where it is known"


def test_the_prompt_is_the_arm_that_stands_for_its_tool():
    one, two = range(50), range(50, N)
    runs = [
        run("zero_shot", 20, fold=0, ids=one, dev=0.1),
        run("zero_shot", 70, fold=1, ids=two, dev=0.9),
        run("search", 40, fold=0, ids=one, dev=0.5, simplicity=40, trace=trace(9)),
        run("search", 90, fold=1, ids=two, dev=0.8, simplicity=40, trace=trace(9)),
        run("lora", 50, "tune", fold=0, ids=one), run("lora", 100, "tune", fold=1, ids=two),
    ]  # fmt: skip
    assert told(*runs).rho.mean == pytest.approx(40 / 60), "whatever a fold's dev rows said"


def test_no_share_where_tuning_is_not_shown_to_differ_from_the_base():
    plain = [
        run("zero_shot", 50, dev=0.2),
        run("search", 55, simplicity=40, dev=0.5, trace=trace(9)),
    ]
    for tuned in (50, 53):
        found = told(*plain, run("lora", tuned, "tune"))
        assert found.rho is None
        assert "not shown to differ" in found.because
    assert "no tuned arm" in told(*plain).because
    assert told(*plain, run("lora", 30, "tune")).rho.mean == pytest.approx(-0.25)


def test_folds_that_share_training_rows_widen_the_share():
    arms = (("zero_shot", 20, "prompt", 10, 0.1), ("few_shot", 50, "prompt", 20, 0.5),
            ("lora", 80, "tune", 10, 0.5))  # fmt: skip
    parts = tuple(
        Part(train=tuple(c.id for at, c in enumerate(CASES) if at % 5 != fold), dev=(),
             test=tuple(c.id for c in CASES[fold::5]))
        for fold in range(5)
    )  # fmt: skip

    def share(learned):
        runs = [
            run(name, right, tool, fold=at, ids=range(at, N, 5), simplicity=simple, dev=dev,
                learned=learned)
            for name, right, tool, simple, dev in arms
            for at in range(5)
        ]  # fmt: skip
        return told(*runs, split=Split(k=5, parts=parts)).rho

    logged, widened = share(learned=False), share(learned=True)  # logged answers: no fold fits them
    assert widened.mean == logged.mean == 0.5
    assert widened.high - widened.low > 1.3 * (logged.high - logged.low)
