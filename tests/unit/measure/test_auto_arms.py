"""Which arms `auto` takes, which of them are taken step by step, and what the minutes cut."""

from dataclasses import replace
from math import ceil

from tuneworthy.measure.plan_cuts import looked_after, units_of
from tuneworthy.measure.planning import PlanInputs, Speed, diagnosis_minutes, make_plan
from tuneworthy.records.arm import Sizes
from tuneworthy.records.audit_report import Audit, DetectableDifference
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.records.reason import Reason
from tuneworthy.records.specs import failure_only_arms, needs_of, specs
from tuneworthy.records.task import Data, Output, Task
from tuneworthy.rows.folds import Part, Split

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
    assert [spec.arm for spec in failure_only_arms(task())] == dear
    assert set(dear) <= set(names(task(arms=tuple(dear))))


def test_auto_adds_the_variants_and_a_list_does_not():
    assert {"nearest_shots", "nearest_shots(k=4)", "nearest_shots(k=16)"} <= set(names(task()))
    assert names(task(arms=("nearest_shots",))) == ["nearest_shots"]
    listed = names(task(arms=("nearest_shots", {"nearest_shots": {"k": 64}})))
    assert listed == ["nearest_shots", "nearest_shots(k=64)"]


def facts(job, speed, training="no torch"):
    split = Split(k=1, parts=(Part(train=IDS[:20], dev=IDS[20:25], test=IDS[25:]),))
    sizes = Sizes(cases=25, train=20, dev=5, shared=50, own=20, shot=40, answer=5, cap=8, labels=6)
    why = Reason.from_older(training)
    available = needs_of(job, training=why, gold=False, vectors=Reason.needs("MiniLM"))
    return PlanInputs(job, split, AUDIT, available, sizes, Speed(read=speed, written=speed))


AUDIT = Audit(
    rows=50, used=50, excluded={}, scored=25, folds=1, conflict_share=0.0, observations=(),
    classes=None, lengths={}, unit="tokens",
    visible=DetectableDifference(n=25, d=0.2, factor=1.0, prompts=None, fitted=None),
)  # fmt: skip


def planned(job, speed):
    return make_plan(facts(job, speed), specs(job), "rows", "study")


def test_variants_searches_and_training_are_taken_step_by_step_and_else_what_takes_long():
    quick, slow = (
        make_plan(facts(task(), speed, training=""), specs(task()), "rows", "study").arms
        for speed in (1e6, 50.0)
    )
    names = [{arm.spec.name for arm in arms if arm.scheduled} for arms in (quick, slow)]
    assert names[0] == {"nearest_shots(k=4)", "nearest_shots(k=16)", "optimised_prompt", "lora"}
    assert names[1] == names[0] | {"zero_shot", "few_shot", "nearest_shots", "constrained"}
    fixed = make_plan(
        facts(task(budget={"stages": False}), 50.0, training=""), specs(task()), "rows", "s"
    )
    assert not any(arm.scheduled for arm in fixed.arms)
    assert not fixed.staged


def test_an_arm_that_neither_trains_nor_builds_begins_with_a_few_cases():
    job = task(arms=THREE)
    prompt, nearest, lora = specs(job)
    split = Split(k=2, parts=(Part(train=IDS[:10], dev=(), test=IDS[10:]),) * 2)
    assert units_of(job, prompt, 2, split, 9.0) == ((0, 32), (0, 40), (1, 40))
    assert units_of(job, nearest, 1, split, 9.0) == ((0, 32), (0, 40))
    assert units_of(job, lora, 2, split, 0.0) == ((0, 40), (1, 40))
    later = split.model_copy(update={"by_time": True})
    assert units_of(job, prompt, 2, later, 9.0) == ((0, 40), (1, 40))
    assert units_of(job, prompt, 2, split, 0.01) == ()


def test_a_tuned_encoder_is_taken_fold_by_fold_and_each_fold_trains():
    """It is a classifier, but takes no seconds: else it would delay the first look."""
    job = task(arms=("tfidf", {"encoder": {"model": "hf:a/b"}}))
    plain, tuned = make_plan(folded(job, 600.0), specs(job), "rows", "study").arms
    assert not plain.scheduled
    assert tuned.units == tuple((fold, 10) for fold in range(5))
    once = load("arms", "encoder").estimate(
        folded(job, 600.0).sizes, load("arms", "encoder").Options()
    )
    assert tuned.minutes > 4 * Speed(read=600.0, written=600.0).minutes(once)
    assert tuned.fit_minutes > 0
    own = task(arms=("encoder",))
    (skipped,) = planned(own, 1e6).arms
    assert skipped.because == Reason.needs("MiniLM")
    assert not {"encoder", "setfit", "cascade", "decision"} & set(names(task())), "by name alone"


def test_a_large_fold_is_taken_in_growing_steps_and_may_end_after_each():
    job = task(arms=THREE)
    ids = tuple(f"c{at}" for at in range(2000))
    split = Split(k=1, parts=(Part(train=IDS[:10], dev=(), test=ids),))
    units = units_of(job, specs(job)[0], 1, split, 9.0)
    assert units == ((0, 32), (0, 128), (0, 512), (0, 2000))
    assert looked_after(units, 0.5) == (0.016, 0.064, 0.256)
    assert units_of(job, specs(job)[2], 1, split, 9.0) == ((0, 2000),)


def test_a_slow_machine_leaves_out_no_arm():
    for speed in (1e6, 1000.0, 10.0):
        job = task(budget={"minutes": 1})
        plan = make_plan(facts(job, speed, training=""), specs(job), "rows", "study")
        because = {arm.spec.name for arm in plan.arms if arm.because}
        assert not {"lora", "optimised_prompt", "nearest_shots"} & because
        assert bool(plan.cuts) == (speed < 1e6)


def test_a_search_takes_a_share_of_the_minutes_at_most():
    tried = {}
    for speed in (1e6, 1000.0, 500.0, 300.0, 10.0):
        plan = planned(task(budget={"minutes": 1}), speed)
        arm = next(arm for arm in plan.arms if arm.spec.arm == "optimised_prompt")
        tried[speed] = arm.spec.options["budget"]
        assert arm.minutes / len(arm.folds) <= 0.15 or tried[speed] == 4
    assert (tried[1e6], tried[10.0]) == (8, 4)
    assert list(tried.values()) == sorted(tried.values(), reverse=True)
    own = task(budget={"minutes": 1}, arms=("zero_shot", {"optimised_prompt": {"budget": 16}}))
    assert planned(own, 10.0).arms[1].spec.options["budget"] == 16, "what the user wrote stands"


def folded(job, speed, by_time=False):
    """Five folds of ten rows to score and 320 to learn from."""
    known = facts(job, speed, training="")
    parts = tuple(
        Part(train=IDS[: 10 * i] + IDS[10 * i + 10 :], dev=(), test=IDS[10 * i : 10 * i + 10])
        for i in range(5)
    )
    sizes = known.sizes.model_copy(update={"train": 320, "cases": 50})
    return replace(known, split=Split(k=5, parts=parts, by_time=by_time), sizes=sizes)


SPEEDS = (1e6, *range(4000, 10, -10))
THREE = ("zero_shot", "nearest_shots", "lora")


def test_on_a_slow_machine_training_gets_fewer_folds_then_fewer_rows_and_no_other_arm():
    seen = []
    for speed in SPEEDS:
        job = task(budget={"minutes": 5}, arms=THREE)
        plan = make_plan(folded(job, speed), specs(job), "rows", "study")
        zero, nearest, lora = plan.arms
        rows = lora.spec.options["rows"] or 320
        assert nearest.spec.options["k"] == 8
        assert len(zero.folds) == len(nearest.folds) == 5
        fewer = any(cut.startswith("training arms on at most") for cut in plan.cuts)
        assert fewer == (len(lora.folds) < 5) >= (rows < 320), "fewer folds before fewer rows"
        told = [cut.split()[0] for cut in plan.cuts]
        assert ("training on" in " ".join(plan.cuts) or "no" in told) >= (rows < 320)
        assert (plan.whole is None) == (not plan.cuts)
        seen.append(rows)
    assert (seen[0], seen[-1]) == (320, 100)
    assert seen == sorted(seen, reverse=True), "none comes back"
    assert len(set(seen)) > 4
    assert plan.cuts[0].startswith("no training fits: the smallest study that trains takes about")


def test_the_minutes_that_leave_nothing_out_are_enough():
    def made(minutes):
        job = task(budget={"minutes": minutes}, arms=("zero_shot", "lora"))
        return make_plan(folded(job, 600.0), specs(job), "rows", "study")

    short = made(0.5)
    assert short.cuts
    assert short.whole > 0.5
    assert made(ceil(short.whole)).arms[1].spec.options["rows"] is None


def test_the_diagnosis_is_cut_to_its_share_of_the_minutes():
    read = []
    for speed in SPEEDS:
        job = task(budget={"minutes": 5}, arms=THREE)
        plan = make_plan(folded(job, speed), specs(job), "rows", "study")
        read.append(plan.read)
        room = diagnosis_minutes(plan.across, plan.staged) <= 0.15 * 5 + 0.01
        assert room or plan.read == 20
        said = [cut for cut in plan.cuts if cut.startswith("what was wrong")]
        assert bool(said) == (plan.read == 20)
        assert all(probe.requests <= 2 * plan.read for probe in plan.across)
    assert read == sorted(read, reverse=True)
    assert set(read) == {60, 20}
    whole = task(budget={"minutes": 500, "stages": False}, arms=THREE)
    assert make_plan(folded(whole, SPEEDS[0]), specs(whole), "rows", "study").read is None


def test_what_the_user_wrote_is_not_cut():
    job = task(budget={"minutes": 1}, arms=("zero_shot", {"lora": {"epochs": 1}}))
    plan = make_plan(folded(job, 10.0), specs(job), "rows", "study")
    assert plan.arms[1].spec.options["rows"] is None


def test_what_nobody_would_read_across_is_not_said_to_be_cut():
    job = task(budget={"minutes": 1}, arms=("majority", "zero_shot"))
    plan = make_plan(facts(job, 1e6), specs(job), "rows", "study")
    assert (plan.across, plan.cuts, plan.read, plan.whole) == ((), (), None, None)
    slow = make_plan(facts(job, 1.0), specs(job), "rows", "study")
    assert (slow.across, slow.read) == ((), None)
    assert slow.cuts == (f"the smallest study takes about {slow.whole:.1f} minutes",)


def test_an_arm_without_its_vectors_or_its_larger_model_is_skipped_with_why():
    arms = {arm.spec.name: arm for arm in planned(task(), 1e6).arms}
    assert arms["embedding_head"].because == Reason.needs("MiniLM")
    assert "bigger" in str(arms["bigger"].because)
    met = needs_of(task(bigger="hf:x/y"), gold=False, bigger=Reason.needs("torch"))
    assert met["bigger"] == Reason.needs("torch")
    assert needs_of(task(bigger="hf:x/y"), gold=False)["bigger"] is None


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


def test_the_plan_pays_for_the_choice_of_a_prompt_where_there_is_one_to_choose():
    def minutes(*arms, dev=40):
        job = task(arms=arms, budget={"minutes": 9999})
        found = facts(job, 100.0)
        found = replace(found, sizes=found.sizes.model_copy(update={"dev": dev}))
        plan = make_plan(found, specs(job), "rows", "study")
        return {arm.spec.name: arm.minutes for arm in (*plan.arms, *plan.across)}

    plain = minutes("zero_shot", "constrained")
    both, few = (minutes("zero_shot", "few_shot", "constrained", dev=n) for n in (40, 9))
    assert both["constrained"] > plain["constrained"] == few["constrained"]
    assert both["constrained placebo"] == plain["constrained placebo"], "it takes its arm's prompt"
    assert both["zero_shot"] == few["zero_shot"]


def test_the_plan_counts_the_answers_that_are_asked_for():
    """One prompt in all folds: its dev rows are scored rows of other folds, and asked once."""
    job = task(arms=("zero_shot", "few_shot", "nearest_shots"))
    parts = tuple(
        Part(train=IDS[10:], dev=tuple(i for i in IDS if i not in test)[:8], test=test)
        for test in (IDS[:25], IDS[25:])
    )
    found = replace(facts(job, 1e6), split=Split(k=2, parts=parts))
    counts = {arm.spec.name: arm.requests for arm in make_plan(found, specs(job), "r", "s").arms}
    assert counts == {"zero_shot": 50, "few_shot": 50 + 16, "nearest_shots": 50 + 16}
    apart = tuple(part.model_copy(update={"dev": ("x", "y")}) for part in parts)
    found = replace(found, split=Split(k=2, parts=apart))
    counts = {arm.spec.name: arm.requests for arm in make_plan(found, specs(job), "r", "s").arms}
    assert counts == {"zero_shot": 52, "few_shot": 54, "nearest_shots": 54}


def test_the_plan_prices_no_constrained_answers_where_nothing_can_be_constrained():
    text = Task(data=Data(file="rows.jsonl"), output=Output(type="text", max_tokens=4))
    arms = {arm.spec.name: arm for arm in planned(text, 1e6).arms}
    assert str(arms["constrained"].because).startswith("the answers are free text")
    assert arms["constrained"].requests == 0 < arms["zero_shot"].requests
    assert not {
        arm.spec.name
        for arm in planned(task(), 1e6).arms
        if str(arm.because).startswith("the answers")
    }
