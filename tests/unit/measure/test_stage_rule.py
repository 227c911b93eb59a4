"""The stage rule: what it leaves out, trains first, stops after one fold; what its bounds pay."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from tests.memory_ledger import MemoryLedger

from tuneworthy.matrix.columns import by_spec, column
from tuneworthy.matrix.inputs import LOOK_SHARE, ComparisonInputs
from tuneworthy.matrix.pairs import PairTable
from tuneworthy.measure import stage_runner
from tuneworthy.measure.placebos import Probe, _probe_plan
from tuneworthy.measure.plan_cuts import fit_extras
from tuneworthy.measure.stage_runner import StageRunner
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.arm import Recipe
from tuneworthy.records.causes import Diagnosis, Wrong
from tuneworthy.records.plan import Plan, PlannedArm
from tuneworthy.records.plugins import load
from tuneworthy.records.reason import NO_ROOM
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.specs import trains
from tuneworthy.records.split import Part, Split
from tuneworthy.records.task import Economics, Task

FOLDS, N = 5, 400
IDS = [f"c{i:03}" for i in range(N)]
SPLIT = Split(
    k=FOLDS,
    parts=tuple(
        Part(train=tuple(sorted(set(IDS) - set(IDS[f::FOLDS]))), dev=(), test=tuple(IDS[f::FOLDS]))
        for f in range(FOLDS)
    ),
)


def spec(name):
    arm, _, k = name.partition("/")
    module = load("arms", arm)
    told = {"tool": module.TOOL or None, "role": module.ROLE, "simplicity": module.SIMPLICITY}
    more = {"name": f"{arm}(k={k})", "options": {"k": int(k)}} if k else {"name": arm}
    return Spec(arm=arm, **told, **more)


class Drawn(StageRunner):
    """The executor with drawn scores in place of models; every arm is right with its own share."""

    right: dict
    slower = 1.0  # times as slow as the plan says

    def _measure(self, arm, folds):
        rng = np.random.default_rng(len(arm.spec.name))
        hits = rng.permutation(N) < round(self.right[arm.spec.name] * N)
        own = self.stand.get(arm.spec.name, arm.spec.name)
        recipe = Recipe(kind="few", k=len(own)) if self.stand and arm.spec.tool != "tune" else None
        new = [
            Run(spec=arm.spec, seed=0, fold=fold, state="measured", learned=trains(arm.spec),
                recipe=recipe,
                answers=tuple(Answer(case=i, text="", seconds=0.0) for i in IDS[fold::FOLDS]),
                scores=tuple(Score(value=float(v)) for v in hits[fold::FOLDS]))
            for fold in folds
        ]  # fmt: skip
        self.runs += new
        self.spent += self.slower * arm.minutes * len(folds) / len(arm.folds)
        self._pace.planned, self._pace.took = {"": self.spent / self.slower}, {"": self.spent}
        with self._minutes_ledger.count_folds(arm.spec.name, folds):
            return new

    def _run_probes(self, trained):
        self.probed = [*getattr(self, "probed", []), trained]

    def _leave_out(self, arm, why):
        self._record_decision(arm, "leave out", why)


def followed(right, minutes=60.0, wrong=(), arms="auto", every=False, stand=None,
             dear=("", 0.0), **task):  # fmt: skip
    """Run the rule over arms that are right with these shares; return it, finished.

    `every`: it looks at all arms but classifiers after one fold. `stand`: the prompt that an arm is
    built on. `dear`: an arm and its minutes.
    """
    job = Task(data={"file": "rows.jsonl"}, arms=arms, **task)
    planned = []
    for name in right:
        one = spec(name)
        waits = trains(one) or "/" in name
        asks = every and not waits and one.tool != "classifier"
        cost = dear[1] if name == dear[0] else 5.0 if trains(one) else 1.0
        planned.append(PlannedArm(spec=one, folds=tuple(range(FOLDS)), seeds=(0,), follow_up=waits,
                                  minutes=cost,
                                  look_after=int(trains(one) or asks)))  # fmt: skip
    plan = Plan.model_construct(arms=tuple(planned), across=(), read=None, staged=True)
    shape = ComparisonInputs(task=job, study="s", split=SPLIT,
                             possible_arms=plan.possible_arms,
                             folds=plan.folds_by_arm, looked=plan.looks_at)  # fmt: skip
    rows = [Wrong(cause=c, share=s, low=s, high=s, n=N, arm=None, placebo=None) for c, s in wrong]
    found = Diagnosis(arm="zero_shot", n_fail=N, n_pass=0, wrong=tuple(rows))
    bench = SimpleNamespace(task=job, ledger=MemoryLedger(), study="s")
    shares = {spec(name).name: share for name, share in right.items()}
    return on_bench(bench, plan, shape, minutes, found, shares, stand)


def on_bench(bench, plan, shape, minutes, found, right, stand=None):
    """Run the rule over the arms of a plan; return it, finished."""
    follow = Drawn(bench, plan, shape, [], [Recipe()] * FOLDS, minutes,
                   lambda: found, lambda event, data: None)  # fmt: skip
    follow.stand, follow.frozen = stand or {}, plan
    follow.right = right
    for _ in follow.run():
        pass
    return follow


def did(follow):
    return {step.arm: step.do for step in follow.steps}


def why(follow, arm):
    return next(step.why for step in reversed(follow.steps) if step.arm == arm)


def ran(follow):
    return {run.spec.name for run in follow.runs}


def test_nothing_dearer_runs_where_a_classifier_leaves_less_than_the_margin():
    found = followed({"tfidf": 0.99, "zero_shot": 0.2, "few_shot": 0.4, "lora": 1.0})
    assert ran(found) == {"tfidf", "zero_shot"}, "failures are read of the simplest prompt"
    assert did(found) == {"few_shot": "leave out", "lora": "leave out"}
    assert why(found, "lora").startswith("even a perfect score would gain at most")
    assert why(found, "lora").endswith("points over tfidf's low end, not more than your margin")


@pytest.mark.parametrize(
    "task",
    [
        {"success": {"motive": "cost"}},
        {"success": {"limits": {"local_only": True}}},
        {"success": {"floor": 0.5}},
        {"economics": Economics(value_of_correct=1.0, requests_per_month=1000.0)},
    ],
)
def test_where_more_than_scores_decides_nothing_is_left_out_or_stopped(task):
    near = {"nearest_shots": 0.3, "nearest_shots/16": 0.3}
    found = followed({"tfidf": 0.99, "zero_shot": 0.2, **near, "lora": 0.4}, **task)
    assert did(found) == {"lora": "all folds", "nearest_shots(k=16)": "run"}


def test_where_more_than_scores_decides_every_training_arm_gets_all_its_folds():
    arms = {"zero_shot": 0.2, "rag": 0.3, "lora": 0.4, "rag_lora": 0.45}
    both = followed(arms, success={"floor": 0.1})
    assert did(both) == {"rag_lora": "all folds", "lora": "all folds"}
    apart = {"zero_shot": 0.3, "rag": 0.3, "lora": 0.3, "rag_lora": 0.9}
    assert did(followed(apart, arms=list(apart))) == {"rag_lora": "stop", "lora": "stop"}


def test_an_arm_that_was_named_before_the_run_is_not_left_out_for_its_siblings():
    arms = {"zero_shot": 0.1, "rag": 0.8, "lora": 0.2, "rag_lora": 0.3}
    found = followed(arms, success={"finalists": {"tune": "lora"}})
    assert {"lora", "rag_lora"} <= ran(found)


def test_a_classifier_that_may_leave_the_margin_rules_nothing_out():
    found = followed({"tfidf": 0.95, "zero_shot": 0.2, "lora": 0.9})
    assert "lora" in ran(found)


def test_nothing_is_left_out_while_an_arm_that_leaves_more_may_be_named():
    """Else "use zero_shot" was firm where training is more than a margin better."""
    near = {"zero_shot": 0.945, "rag": 0.985, "lora": 1.0}
    assert "lora" in ran(followed(near)), "zero_shot is not beaten by the margin, and leaves more"
    beaten = followed({**near, "zero_shot": 0.5})
    assert did(beaten) == {"lora": "leave out"}
    assert "rag's low end" in why(beaten, "lora")
    siblings = followed({"zero_shot": 0.945, "few_shot": 0.985, "lora": 1.0})
    assert did(siblings) == {"lora": "leave out"}, "few_shot stands for the prompts"


def test_a_training_arm_stops_after_one_fold_where_it_lost_or_won():
    lost = followed({"tfidf": 0.8, "zero_shot": 0.2, "lora": 0.4})
    won = followed({"tfidf": 0.4, "zero_shot": 0.2, "lora": 0.9})
    near = followed({"tfidf": 0.7, "zero_shot": 0.2, "lora": 0.76})
    folds = [len([r for r in f.runs if r.spec.name == "lora"]) for f in (lost, won, near)]
    assert folds == [1, 1, 5]
    assert [did(f)["lora"] for f in (lost, won, near)] == ["stop", "stop", "all folds"]
    assert why(lost, "lora") == "shown to be at most 5 points better than tfidf"
    note = lost.runs[-1].notes[-1]
    assert note == f"scored on 1 of 5 folds: {why(lost, 'lora')}"
    assert lost.probed == [False, True], "placebos of what trains are asked after it"


def folds_of(follow, arm):
    return sum(run.spec.name == arm for run in follow.runs)


def test_training_arms_that_may_both_be_named_get_equally_many_folds():
    near = {"zero_shot": 0.3, "rag": 0.3, "lora": 0.36, "rag_lora": 0.38}
    both = followed(near)
    assert [folds_of(both, arm) for arm in ("lora", "rag_lora")] == [5, 5]
    short = followed({**near, "rag_lora": 0.5}, minutes=9.0)
    assert [folds_of(short, arm) for arm in ("lora", "rag_lora")] == [3, 3]
    assert did(short) == {"lora": "more folds", "rag_lora": "more folds"}
    notes = [note for run in short.runs for note in run.notes]
    assert notes == ["scored on 3 of 5 folds: the minutes have no room for its other folds"] * 2
    shorter = followed({**near, "rag_lora": 0.5}, minutes=5.5)
    assert [folds_of(shorter, arm) for arm in ("lora", "rag_lora")] == [1, 2], "the best goes first"
    assert "no room for its other folds" in why(shorter, "lora")


def test_an_arm_that_won_gets_all_folds_only_where_another_may_be_better():
    arms = {"zero_shot": 0.2, "rag": 0.2, "lora": 0.88, "rag_lora": 0.9}
    both = followed(arms)
    assert [folds_of(both, arm) for arm in ("lora", "rag_lora")] == [5, 5]
    alone = followed({**arms, "lora": 0.3})
    assert [folds_of(alone, arm) for arm in ("lora", "rag_lora")] == [1, 1]
    assert "at most 5 points better than rag_lora" in why(alone, "lora")
    assert not any("scored on" in note for run in both.runs for note in run.notes)


def test_what_the_failures_ask_for_is_trained_first_and_what_they_speak_against_not_at_all():
    arms = {"zero_shot": 0.1, "rag": 0.3, "lora": 0.12, "rag_lora": 0.8}
    reading = followed(arms, wrong=[("reading", 0.9)])
    assert did(reading)["rag_lora"] == "stop"
    assert did(reading)["lora"] == "leave out"
    assert "speaks against" in why(reading, "lora")
    asked = next(step.why for step in reading.steps if step.arm == "rag_lora")
    assert asked == "it may repair 90% of the failures"
    behind = followed({"zero_shot": 0.1, "rag": 0.8, "lora": 0.2, "rag_lora": 0.3})
    assert [step.arm for step in behind.steps] == ["rag_lora", "rag_lora", "lora"]
    assert "shown to be behind" in why(behind, "lora")
    listed = followed(arms, wrong=[("reading", 0.9)], arms=tuple(arms))
    assert {"lora", "rag_lora"} <= ran(listed), "what the user listed is trained"


def test_a_variant_runs_only_where_its_tool_may_still_be_named():
    far = followed({"tfidf": 0.9, "zero_shot": 0.1, "nearest_shots": 0.5, "nearest_shots/16": 0.6})
    near = followed({"tfidf": 0.6, "zero_shot": 0.1, "nearest_shots": 0.6, "nearest_shots/16": 0.6})
    assert did(far)["nearest_shots(k=16)"] == "leave out"
    assert did(near)["nearest_shots(k=16)"] == "run"


def test_the_first_training_arm_may_exceed_the_minutes_by_a_half_and_no_other_arm():
    arms = {"zero_shot": 0.1, "few_shot": 0.4, "nearest_shots/16": 0.5, "lora": 0.9}
    for minutes, expected in ((2.5, "stop"), (1.5, "leave out")):  # 2 are spent, lora asks for 1
        found = followed(arms, minutes=minutes)
        assert did(found)["lora"] == expected
    assert why(found, "lora") == why(found, "nearest_shots(k=16)") == str(NO_ROOM)
    assert followed(arms, minutes=60.0).left == pytest.approx(57.0)


def with_more(follow, minutes, wrong=()):
    """Run the rule again on the ledger of a study that ended, with more minutes."""
    rows = [Wrong(cause=c, share=s, low=s, high=s, n=N, arm=None, placebo=None) for c, s in wrong]
    found = Diagnosis(arm="zero_shot", n_fail=N, n_pass=0, wrong=tuple(rows))
    return on_bench(follow.runner, follow.frozen, follow.inputs, minutes, found, follow.right)


def test_more_minutes_drop_no_rows_that_were_measured_before():
    right = {"zero_shot": 0.2, "lora": 0.3, "full": 0.9}
    first = followed(right, minutes=9.0, arms=tuple(right), dear=("full", 100.0))
    assert (folds(first, "lora"), folds(first, "full")) == ([0, 1, 2, 3, 4], [])
    more = with_more(first, 60.0)
    assert did(more)["lora"] == "stop", "full is shown to be better"
    assert (folds(more, "lora"), folds(more, "full")) == ([0, 1, 2, 3, 4], [0])
    assert not any("scored on" in n for r in more.runs for n in r.notes if r.spec.name == "lora")


def test_the_minutes_of_the_next_step_are_enough_for_the_rule(monkeypatch):
    """On a machine twice as slow as planned `run --more 3m` left the arm of 3 minutes out again."""
    right = {"zero_shot": 0.4, "nearest_shots": 0.5, "nearest_shots/16": 0.5}
    monkeypatch.setattr(Drawn, "slower", 2.0)
    first = followed(right, minutes=2.0, dear=("nearest_shots/16", 3.0))
    assert why(first, "nearest_shots(k=16)") == str(NO_ROOM)
    asked = next(arm.minutes for arm in first.plan.arms if arm.follow_up)
    assert asked == 6.0
    for more, expected in ((3.0, "leave out"), (asked, "run")):
        again = with_more(first, first.spent + more)
        assert did(again)["nearest_shots(k=16)"] == expected


def test_more_minutes_leave_out_no_arm_that_was_measured_before():
    arms = {"zero_shot": 0.1, "rag": 0.3, "lora": 0.12, "rag_lora": 0.8}
    first = followed(arms, minutes=60.0, wrong=[("learnable", 0.5)])
    assert {"lora", "rag_lora"} <= ran(first)
    more = with_more(first, 90.0, wrong=[("reading", 0.9)])
    assert {"lora", "rag_lora"} <= ran(more)


def test_an_open_arm_keeps_its_first_folds_where_the_others_have_no_room():
    found = followed({"tfidf": 0.7, "zero_shot": 0.2, "lora": 0.76}, minutes=3.5)
    assert did(found)["lora"] == "stop"
    assert "no room for its other folds" in why(found, "lora")


def test_arms_that_may_run_and_looks_between_folds_widen_bounds():
    found = followed({"tfidf": 0.7, "zero_shot": 0.2, "few_shot": 0.3, "lora": 0.76})
    columns = {name: column(runs) for name, runs in by_spec(found.runs).items()}
    assert len(columns["lora"].runs) == FOLDS

    def told(**change):
        shape = replace(found.inputs, **{"possible_arms": 0, "folds": {}, "looked": {}, **change})
        both = PairTable(shape, columns, {}).pairs(["lora", "tfidf"])
        return [next(p for p in both if (p.arm, p.versus) == (arm, "tfidf"))
                for arm in ("few_shot", "lora")]  # fmt: skip

    plain, paid = told(), told(possible_arms=9)
    last, first = told(looked={"lora": (1,)}), told(folds={"lora": 5 * FOLDS})
    assert paid[0].high > plain[0].high
    assert paid[0].level == pytest.approx(plain[0].level * 3 / 8, rel=0.2)
    assert plain[1].low > last[1].low > first[1].low
    assert last[0] == first[0] == plain[0], "only pairs of the arm that was looked at pay for it"
    assert LOOK_SHARE < 0.5


def test_beside_the_arms_takes_its_share_of_what_is_left():
    from tuneworthy.records.plan import OptionalMeasurement

    kinds = tuple(
        OptionalMeasurement(what=w, minutes=m) for w, m in (("a", 2.0), ("b", 3.0), ("c", 1.0))
    )
    plan = Plan.model_construct(arms=(), beside=kinds)
    kept = [e.what for e in fit_extras(plan, 10.0, 4.0).beside if not e.because]
    assert kept == ["a", "c"]
    assert all(e.because == str(NO_ROOM) for e in fit_extras(plan, -1.0, 4.0).beside)


def folds(follow, arm):
    return sorted({run.fold for run in follow.runs if run.spec.name == arm})


def test_prompts_that_are_beaten_on_one_fold_run_on_no_other():
    right = {"zero_shot": 0.1, "few_shot": 0.4, "constrained": 0.45, "lora": 0.9}
    found = followed(right, every=True)
    assert all(folds(found, arm) == [0] for arm in right), "trained, won, and all others stopped"
    assert "beaten by lora, by 5 points or more" in why(found, "few_shot")
    assert did(found)["lora"] == "stop"
    notes = [run.notes for run in found.runs if run.spec.name == "few_shot"]
    assert "scored on 1 of 5 folds" in notes[0][0]


def test_a_simpler_arm_that_is_not_beaten_stays_open_with_the_best_one():
    """Else the ladder would stop at it, with a bound from one fold alone."""
    right = {"zero_shot": 0.1, "few_shot": 0.5, "lora": 0.5}
    found = followed(right, every=True)
    assert folds(found, "few_shot") == folds(found, "lora") == [0, 1, 2, 3, 4]
    assert folds(found, "zero_shot") == [0]


def test_while_an_arm_that_builds_on_a_prompt_is_open_so_is_that_prompt():
    right = {"zero_shot": 0.1, "few_shot": 0.5, "constrained": 0.58, "lora": 0.2}
    found = followed(right, every=True, stand={"constrained": "few_shot"})
    assert folds(found, "constrained") == [0, 1, 2, 3, 4]
    assert folds(found, "few_shot") == [0, 1, 2, 3, 4]
    assert folds(found, "zero_shot") == [0]
    lost = followed({"tfidf": 0.6, "few_shot": 0.3, "constrained": 0.66}, every=True,
                    stand={"constrained": "few_shot"})  # fmt: skip
    assert folds(lost, "few_shot") == folds(lost, "constrained") == [0, 1, 2, 3, 4]
    assert why(lost, "few_shot").endswith("than tfidf, but an open arm builds on it")
    unknown = followed(right, every=True)
    assert folds(unknown, "zero_shot") == [0, 1, 2, 3, 4], "all, where its prompt is not known"
    order = [run.spec.name for run in found.runs if run.fold == 4]
    assert order.index("few_shot") < order.index("constrained"), "it chooses among them"
    assert folds(found, "lora") == [0]


def test_without_a_training_arm_open_prompts_still_get_their_folds():
    found = followed({"tfidf": 0.5, "zero_shot": 0.1, "few_shot": 0.58}, every=True)
    assert folds(found, "few_shot") == folds(found, "tfidf") == [0, 1, 2, 3, 4]
    assert folds(found, "zero_shot") == [0]


def test_a_variant_that_chooses_its_prompt_runs_only_where_the_prompts_ran():
    right = {"zero_shot": 0.1, "few_shot": 0.2, "rag": 0.8, "rag/4": 0.82}
    assert folds(followed(right, every=True, minutes=5.0), "rag(k=4)") == [0]
    assert folds(followed(right, minutes=60.0), "rag(k=4)") == [0, 1, 2, 3, 4]


def test_where_more_than_scores_decides_no_prompt_stops_for_its_score():
    right = {"zero_shot": 0.1, "few_shot": 0.4, "lora": 0.9}
    found = followed(right, every=True, success={"motive": "cost"})
    assert all(folds(found, arm) == [0, 1, 2, 3, 4] for arm in right)


def test_open_prompts_without_minutes_say_so():
    found = followed({"zero_shot": 0.48, "few_shot": 0.5}, every=True, minutes=0.5)
    assert folds(found, "few_shot") == [0]
    assert "no room for its other folds" in why(found, "few_shot")


def test_the_best_arm_gets_no_folds_on_which_nothing_can_be_compared_with_it():
    found = followed({"zero_shot": 0.1, "few_shot": 0.5, "lora": 0.5}, every=True, minutes=2.5)
    assert folds(found, "lora") == [0]
    with_classifier = {"tfidf": 0.5, "lora": 0.58}
    assert len(folds(followed(with_classifier, every=True, minutes=4.5), "lora")) > 1


def test_a_dear_probe_leaves_the_minutes_that_training_needs():
    """A vote on the failures took 9 of 20 minutes, and no training arm had room."""
    follow = followed({"zero_shot": 0.1, "lora": 0.9}, minutes=6.0)
    follow.spent, follow._pace.planned, follow._pace.took = 0.5, {"": 0.5}, {"": 0.5}
    vote, placebo = (
        SimpleNamespace(planned=PlannedArm(spec=spec("vote").model_copy(update={"role": role})))
        for role in ("candidate", "placebo")
    )
    assert follow._beside_training([vote, placebo], [5.2, 0.3]) == [placebo]
    assert (did(follow)["vote"], why(follow, "vote")) == ("leave out", str(NO_ROOM))
    follow.steps.clear()
    assert follow._beside_training([vote, placebo], [4.2, 0.2]) == [vote, placebo]
    assert follow._beside_training([placebo], [99.0]) == follow.steps == []
    alone = followed({"zero_shot": 0.1, "few_shot": 0.9}, minutes=6.0)
    assert alone._beside_training([vote], [99.0]) == [vote], "nothing else waits for the minutes"


def test_minutes_of_placebos_do_not_make_the_arms_estimates_longer():
    follow = followed({"zero_shot": 0.1, "lora": 0.9})
    follow._pace.planned, follow._pace.took, follow.spent = {"": 5.0}, {"": 5.0}, 10.0
    assert follow._pace.corrected(8.0, "adapter") == 8.0
    follow._pace.took = {"": 10.0}
    assert follow._pace.corrected(8.0, "adapter") == 16.0


def test_placebos_that_the_plan_did_not_cost_count_the_minutes_of_their_arms(monkeypatch):
    """A plan without diagnosis lists no placebos; `--more 1m` then trained one for 5 minutes."""
    follow = followed({"zero_shot": 0.1, "lora": 0.9}, minutes=6.0)
    lora = next(arm for arm in follow.plan.arms if arm.spec.name == "lora")
    placebo = PlannedArm(spec=lora.spec.model_copy(update={"role": "placebo"}), minutes=5.0)
    monkeypatch.setattr(stage_runner, "probes", lambda *told: [Probe(placebo, frozenset())])
    follow.runner.task = follow.runner.task.model_copy(update={"model": "hf:a/b"})
    follow.spent, follow._pace.planned, follow._pace.took = 4.0, {"": 4.0}, {"": 4.0}
    assert follow._needed_probes(trained=True) == [], "2 minutes are left"
    follow.spent = 1.0
    assert [probe.planned for probe in follow._needed_probes(trained=True)] == [placebo]
    prompt = next(arm for arm in follow.plan.arms if arm.spec.name == "zero_shot")
    assert _probe_plan(lora, placebo.spec, 0.1).minutes == pytest.approx(5.0 / FOLDS)
    assert _probe_plan(prompt, prompt.spec, 0.1).minutes == pytest.approx(0.1)
