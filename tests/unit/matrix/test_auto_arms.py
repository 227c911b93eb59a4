"""Which arms `auto` takes: variants where the minutes allow, none too dear for all cases."""

from dataclasses import replace

from tuneworthy.core.arm import Sizes
from tuneworthy.core.audit import Audit, Visible
from tuneworthy.core.plugins import catalogue, load
from tuneworthy.core.task import Data, Output, Task
from tuneworthy.data.folds import Part, Split
from tuneworthy.matrix.plan import Facts, Speed, make, reading_minutes
from tuneworthy.matrix.specs import needs_of, on_failures, specs

IDS = tuple(f"c{i}" for i in range(50))


def task(**more):
    output = Output(type="label", labels=("a", "b"), max_tokens=4)
    return Task(data=Data(file="rows.jsonl"), output=output, **more)


def names(job):
    return [spec.name for spec in specs(job)]


def test_auto_leaves_dear_arms_to_the_failures_and_a_list_does_not():
    dear = [n for n in catalogue("arms") if getattr(load("arms", n), "ON_FAILURES", False)]
    assert dear
    assert not set(dear) & set(names(task()))
    assert [spec.arm for spec in on_failures(task())] == dear
    assert set(dear) <= set(names(task(arms=tuple(dear))))


def test_auto_adds_the_variants_and_a_list_does_not():
    assert {"nearest_shots", "nearest_shots(k=4)", "nearest_shots(k=16)"} <= set(names(task()))
    assert names(task(arms=("nearest_shots",))) == ["nearest_shots"]
    listed = names(task(arms=("nearest_shots", {"nearest_shots": {"k": 64}})))
    assert listed == ["nearest_shots", "nearest_shots(k=64)"]


def facts(job, speed, training="no torch"):
    split = Split(k=1, parts=(Part(train=IDS[:20], dev=IDS[20:25], test=IDS[25:]),))
    sizes = Sizes(cases=25, train=20, dev=5, shared=50, own=20, shot=40, answer=5, cap=8, labels=6)
    available = needs_of(job, model="", training=training, gold=False, vectors="needs MiniLM")
    return Facts(job, split, AUDIT, available, sizes, Speed(read=speed, written=speed))


AUDIT = Audit(
    rows=50, used=50, excluded={}, scored=25, folds=1, conflict_share=0.0, observations=(),
    classes=None, lengths={}, unit="tokens",
    visible=Visible(n=25, d=0.2, factor=1.0, prompts=None, fitted=None),
)  # fmt: skip


def planned(job, speed):
    return make(facts(job, speed), specs(job), "rows", "study")


def test_the_minutes_cut_the_largest_variant_first():
    job = task(budget={"minutes": 1})
    left = {}
    for speed in (1e6, *range(3000, 600, -100), 10.0):
        plan = planned(job, speed)
        arms = {arm.spec.name: arm for arm in plan.arms}
        out = [n for n in arms if n.startswith("nearest") and arms[n].because]
        left[speed] = sorted(out)
        said = [cut for cut in plan.cuts if "nearest" in cut]
        assert len(said) == len(out)
        assert not arms["nearest_shots"].because
    assert left[1e6] == []
    assert left[10.0] == ["nearest_shots(k=16)", "nearest_shots(k=4)"]
    assert ["nearest_shots(k=16)"] in left.values()


def test_a_search_tries_fewer_prompts_before_training_is_cut():
    tried = {}
    for speed in (1e6, 1000.0, 500.0, 300.0, 10.0):
        plan = planned(task(budget={"minutes": 1}), speed)
        arm = next(arm for arm in plan.arms if arm.spec.arm == "optimised_prompt")
        tried[speed] = 0 if arm.because else arm.spec.options["budget"]
        said = [cut for cut in plan.cuts if cut.startswith("a search")]
        if tried[speed]:
            last = f"a search for a prompt tries {tried[speed]} of them"
            assert said[-1:] == [last] * bool(said)
    assert (tried[1e6], tried[10.0]) == (8, 0)
    assert list(tried.values()) == sorted(tried.values(), reverse=True)
    own = task(budget={"minutes": 1}, arms=("zero_shot", {"optimised_prompt": {"budget": 16}}))
    assert planned(own, 10.0).arms[1].spec.options["budget"] == 16, "what the user wrote stands"


def test_training_is_left_out_last_and_is_said():
    because = {}
    for speed in (10.0, 1e6):
        job = task(budget={"minutes": 1})
        plan = make(facts(job, speed, training=""), specs(job), "rows", "study")
        because[speed] = next(arm.because for arm in plan.arms if arm.spec.arm == "lora")
        if speed == 10.0:
            assert plan.cuts[-1] == "left out: lora"
            assert (plan.whole or 0) > plan.minutes
            assert "left out: optimised_prompt" in plan.cuts[:-1]
    assert "no room" in because[10.0]
    assert because[1e6] == ""


def test_reading_across_counts_towards_the_minutes_and_is_cut_before_training():
    read, left = {}, {}
    for speed in (1e6, *range(1000, 10, -10)):
        job = task(budget={"minutes": 5}, arms=("zero_shot", "nearest_shots", "lora"))
        plan = make(facts(job, speed, training=""), specs(job), "rows", "study")
        read[speed], left[speed] = plan.read, [a.spec.name for a in plan.arms if a.because]
        room = plan.minutes + reading_minutes(plan.across) <= 5
        assert room or left[speed], "all that is planned fits, or all that can be cut was"
        assert (plan.read == 0) == (not plan.across)
        said = [cut for cut in plan.cuts if cut.startswith("what was wrong")]
        assert bool(said) == (plan.read is not None)
        assert plan.read != 0 or said[-1] == "what was wrong is not read across"
        if plan.read:  # by its most cases, whatever the rows
            assert all(probe.requests <= 2 * plan.read for probe in plan.across)
    order = [99 if most is None else most for most in read.values()]
    assert order == sorted(order, reverse=True)
    assert read[1e6] is None
    assert {20, 0} & set(read.values())
    assert all(read[speed] == 0 for speed in read if left[speed])


def test_of_two_that_train_the_one_that_reads_passages_stays_longest():
    data = Data(file="rows.jsonl", docs="docs.jsonl")
    kept = []
    for speed in (1e6, *range(1000, 10, -10)):
        job = task(budget={"minutes": 5}, arms=("zero_shot", "lora", "rag_lora"))
        known = facts(job.model_copy(update={"data": data}), speed, training="")
        longer = replace(known, sizes=known.sizes.model_copy(update={"passage": 100.0}))
        plan = make(longer, specs(job), "rows", "study")
        taught = [a.spec.name for a in plan.arms if a.spec.tool == "tune" and not a.because]
        kept.append(taught)
        if len(taught) == 1:
            assert f"of rag_lora, lora only {taught[0]}" in plan.cuts
    kept = [names for names, before in zip(kept, [None, *kept], strict=False) if names != before]
    assert kept == [["lora", "rag_lora"], ["rag_lora"], ["lora"], []]


def test_training_learns_from_fewer_rows_before_it_is_left_out():
    learnt = []
    for speed in (1e6, *range(2000, 10, -10)):
        job = task(budget={"minutes": 5}, arms=("zero_shot", "lora", {"lora": {"epochs": 1}}))
        known = facts(job, speed, training="")
        many = replace(known, sizes=known.sizes.model_copy(update={"train": 320}))
        plan = make(many, specs(job), "rows", "study")
        short, own = (arm for arm in plan.arms if arm.spec.tool == "tune")
        assert own.spec.options["rows"] is None, "what the user wrote stands"
        rows = 0 if short.because else short.spec.options["rows"]
        assert not rows or f"training on {rows} of 320 rows" in plan.cuts
        learnt.append(320 if rows is None else rows)
    assert learnt == sorted(learnt, reverse=True)
    assert {320, 260, 210, 170, 140, 110, 100, 0} >= set(learnt) >= {320, 170, 100, 0}


def test_what_nobody_would_read_across_is_not_said_to_be_cut():
    job = task(budget={"minutes": 1}, arms=("majority", "zero_shot"))
    plan = make(facts(job, 1.0), specs(job), "rows", "study")
    assert (plan.across, plan.cuts, plan.read, plan.whole) == ((), (), None, None)


def test_an_arm_without_its_vectors_or_its_larger_model_is_skipped_with_why():
    arms = {arm.spec.name: arm for arm in planned(task(), 1e6).arms}
    assert arms["embedding_head"].because == "needs MiniLM"
    assert "bigger" in arms["bigger"].because
    met = needs_of(task(bigger="hf:x/y"), model="", training="", gold=False, bigger="needs torch")
    assert met["bigger"] == "needs torch"
    assert needs_of(task(bigger="hf:x/y"), model="", training="", gold=False)["bigger"] == ""


def test_an_arm_on_the_best_prompt_is_planned_with_the_examples_that_it_may_bring():
    few, many = (
        {arm.spec.name: arm for arm in planned(task(arms=arms), 1e6).arms}
        for arms in (("zero_shot", "constrained"), ("zero_shot", {"nearest_shots": {"k": 16}},
                                                    "constrained"))
    )  # fmt: skip
    more = many["constrained"].tokens - few["constrained"].tokens
    assert more == 25 * (16 - 4) * 40
    shared = {arm.spec.name: arm for arm in planned(
        task(arms=("zero_shot", {"few_shot": {"k": 16}}, "constrained")), 1e6).arms}  # fmt: skip
    assert shared["constrained"].tokens == few["constrained"].tokens  # those are read once


def test_training_on_short_rows_is_planned_by_its_steps():
    """Every step reads all weights, so a step of four short rows takes as long as a longer one."""
    short = Sizes(cases=25, train=320, dev=5, shared=50, own=15, shot=20, answer=5, cap=8, labels=0)
    arm = load("arms", "lora")
    trained = {
        own: arm.estimate(short.model_copy(update={"own": own}), arm.Options(epochs=2)).trained
        for own in (5, 15, 95)
    }
    assert trained[5] == trained[15] == 2 * 80 * 256
    assert trained[95] == 2 * 320 * 100
    large = arm.estimate(short, arm.Options(epochs=2, batch=32)).trained
    assert large == 2 * 320 * 20
