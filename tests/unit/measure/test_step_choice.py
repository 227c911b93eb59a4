"""The schedule: which step comes next, what ends an arm, and what the minutes leave out."""

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from tests.memory_ledger import MemoryLedger

from tuneworthy.matrix.columns import by_spec, column
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.matrix.pairs import PairTable
from tuneworthy.measure import plan_cuts
from tuneworthy.measure.placebos import Probe, _probe_plan
from tuneworthy.measure.plan_cuts import fit_extras, looked_after, units_of
from tuneworthy.measure.schedule_runner import FIRST_LOOK, LAST_STEP, ScheduleRunner
from tuneworthy.measure.step_choice import Schedule
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.arm import Recipe
from tuneworthy.records.plan import NO_DIAGNOSIS_CUT, Plan, PlannedArm
from tuneworthy.records.plugins import load
from tuneworthy.records.reason import NO_ROOM, NO_ROOM_FOR_FOLDS, Reason, Why
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.specs import trains
from tuneworthy.records.split import Part, Split
from tuneworthy.records.task import Economics, Task
from tuneworthy.store import signals

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


class Drawn(ScheduleRunner):
    """The executor with drawn scores in place of models; every arm is right with its own share."""

    right: dict
    stand: dict
    slower = 1.0  # times as slow as the plan says
    fails: tuple = ()
    given: tuple = ()  # the probes that the diagnosis needs
    _quick = None

    def _measure(self, runner, part, what, planned):
        name = part.spec.name
        rng = np.random.default_rng(len(name))
        hits = rng.permutation(N) < round(self.right[name] * N)
        own = self.stand.get(name, name)
        recipe = Recipe(kind="few", k=len(own)) if self.stand and part.spec.tool != "tune" else None
        sizes = dict(part.units) or dict.fromkeys(part.folds)
        new = [
            Run(spec=part.spec, seed=0, fold=fold, learned=trains(part.spec), recipe=recipe,
                state="failed" if name in self.fails else "measured",
                answers=tuple(Answer(case=i, text="") for i in IDS[fold::FOLDS][:most]),
                scores=tuple(Score(value=float(v)) for v in hits[fold::FOLDS][:most]))
            for fold, most in sizes.items()
        ]  # fmt: skip
        self.tell("arm", part)
        self._put(new)
        with self._ledger.count(what):
            self.spent += self.slower * planned
        self._pace.add(part.pace, planned, self.slower * planned)
        return new

    def _leave_out(self, arm, why):
        self._record_decision(arm, "leave out", why)

    def _probes(self, arms, runs):
        del arms, runs
        return list(self.given)


def followed(right, minutes=600.0, arms="auto", stand=None, cost=None, cls=Drawn, **task):
    """Run the schedule over arms that are right with these shares; return it, finished.

    `stand`: the prompt that an arm is built on. `cost`: minutes of an arm on all folds, 5 for one
    that trains and 1 for another unless told.
    """
    task.setdefault("success", {"metric": "exact"})
    task["success"] = {"metric": "exact"} | task["success"]
    job, planned = Task(data={"file": "rows.jsonl"}, arms=arms, **task), []
    for name in right:
        one = spec(name)
        took = (cost or {}).get(name, 5.0 if trains(one) else 1.0)
        units = units_of(job, one, FOLDS, SPLIT, took)
        planned.append(
            PlannedArm(
                spec=one,
                folds=tuple(range(FOLDS)),
                seeds=(0,),
                minutes=took,
                units=units,
                looked=looked_after(units, took / 30),
                requests=N,
                fit_minutes=(took - 1) / FOLDS if trains(one) else 0.0,
            )
        )
    plan = Plan.model_construct(arms=tuple(planned), across=(), read=None, staged=True, cuts=())
    inputs = ComparisonInputs(task=job, study="s", split=SPLIT, possible_arms=plan.possible_arms,
                              folds=plan.folds_by_arm, looked=plan.looks_at)  # fmt: skip
    runner = SimpleNamespace(task=job, ledger=MemoryLedger(), study="s", split=SPLIT)
    shares = {spec(name).name: share for name, share in right.items()}
    return again(cls, runner, plan, inputs, minutes, shares, stand)


def again(cls, runner, plan, inputs, minutes, right, stand=None):
    """Run a plan on a runner and its ledger; return the executor, finished."""
    events = []

    def tell(event, data):
        if event == "arm":
            events.append(data.spec.name)

    follow = cls(runner, plan, inputs, [], [Recipe()] * FOLDS, minutes, tell)
    follow.stand, follow.frozen, follow.right, follow.events = stand or {}, plan, right, events
    follow.moments = list(follow.run())
    return follow


def did(follow):
    return {step.arm: step.do for step in follow.steps}


def why(follow, arm):
    return next(step.why for step in reversed(follow.steps) if step.arm == arm)


def ran(follow):
    return {run.spec.name for run in follow.runs}


def rows(follow, arm):
    return sum(len(run.answers) for run in follow.runs if run.spec.name == arm)


def test_the_first_look_has_what_takes_seconds_and_some_rows_of_the_base_prompt():
    found = followed({"majority": 0.3, "tfidf": 0.5, "zero_shot": 0.2, "few_shot": 0.4})
    first = found.moments.index(FIRST_LOOK)
    assert found.events[:first] == ["majority", "tfidf", "zero_shot"]
    assert FIRST_LOOK not in found.moments[first + 1 :]
    few = followed({"tfidf": 0.5, "zero_shot": 0.2, "few_shot": 0.4}, minutes=0.001)
    assert (rows(few, "tfidf"), rows(few, "zero_shot"), rows(few, "few_shot")) == (400, 32, 0)
    assert did(few) == {"zero_shot": "stop", "few_shot": "leave out"}
    assert why(few, "few_shot") == str(NO_ROOM)
    assert f"scored on 32 of 400 rows: {NO_ROOM_FOR_FOLDS}" in few.runs[-1].notes[-1]


def test_nothing_dearer_runs_where_a_classifier_leaves_less_than_the_margin():
    found = followed({"tfidf": 0.995, "zero_shot": 0.2, "few_shot": 0.4, "lora": 1.0})
    assert ran(found) == {"tfidf", "zero_shot"}, "failures are read of the simplest prompt"
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
def test_where_more_than_scores_decides_nothing_is_left_out_or_ended(task):
    near = {"nearest_shots": 0.3, "nearest_shots/16": 0.3}
    found = followed({"tfidf": 0.99, "zero_shot": 0.2, **near, "lora": 0.4}, **task)
    assert all(rows(found, run.spec.name) == N for run in found.runs)
    assert "leave out" not in did(found).values()


def test_an_arm_that_was_named_before_the_run_is_not_left_out_for_its_siblings():
    arms = {"zero_shot": 0.1, "rag": 0.8, "lora": 0.2, "rag_lora": 0.3}
    found = followed(arms, success={"finalists": {"tune": "lora"}})
    assert rows(found, "lora") == N


def test_a_classifier_that_may_leave_the_margin_rules_nothing_out():
    assert "lora" in ran(followed({"tfidf": 0.95, "zero_shot": 0.2, "lora": 0.9}))


def test_nothing_is_left_out_while_an_arm_that_leaves_more_may_be_named():
    """Else "use zero_shot" was firm where training is more than a margin better."""
    arms = {"zero_shot": 0.945, "tfidf": 0.999, "lora": 1.0}
    assert did(followed(arms))["lora"] == "leave out", "simpler, and near a perfect score"
    near = {"zero_shot": 0.95, "rag": 0.985, "lora": 1.0}
    assert "lora" in ran(followed(near)), "zero_shot is not beaten by the margin, and leaves more"


def test_a_training_arm_ends_where_it_is_shown_to_be_behind():
    lost = followed({"tfidf": 0.8, "zero_shot": 0.2, "lora": 0.3})
    near = followed({"tfidf": 0.7, "zero_shot": 0.2, "lora": 0.76})
    assert (rows(lost, "lora"), rows(near, "lora")) == (80, N)
    assert why(lost, "lora") == "shown to be at most 5 points better than tfidf"
    last = next(run for run in lost.runs if run.spec.name == "lora")
    assert last.notes[-1] == f"scored on 80 of 400 rows: {why(lost, 'lora')}"
    assert last.because == Reason(text=last.notes[-1])


def test_one_training_comes_before_prompts_that_cannot_win():
    arms = {"zero_shot": 0.1, "few_shot": 0.3, "nearest_shots": 0.35, "lora": 0.9}
    found = followed(arms)
    order = [step.arm for step in found.steps if step.do == "run"]
    assert order.index("lora") < 8
    assert rows(found, "nearest_shots") < N
    assert "beaten by lora, by 5 points or more" in why(found, "nearest_shots")


def test_plain_prompts_are_seen_before_an_arm_builds_on_one_of_them():
    found = followed({"zero_shot": 0.1, "few_shot": 0.5, "constrained": 0.58})
    order = [step.arm for step in found.steps if step.do == "run"]
    assert order.index("few_shot") < order.index("constrained")


def test_the_prompt_that_an_arm_builds_on_is_measured_first_in_each_fold():
    right = {"zero_shot": 0.1, "nearest_shots": 0.5, "rag": 0.52}
    found = followed(right, stand={"rag": "nearest_shots"})
    assert rows(found, "rag") == N
    steps = [step.arm for step in found.steps if step.do == "run"]
    folds = {"nearest_shots": -1, "rag": 0}  # its first step is a part of the first fold
    for name in (name for name in steps if name in folds):
        folds[name] += 1
        assert folds["nearest_shots"] >= folds["rag"] - 1
    assert folds == {"nearest_shots": 5, "rag": 5}


def test_a_variant_of_a_tool_that_is_far_behind_is_left_out():
    far = followed({"tfidf": 0.95, "zero_shot": 0.1, "nearest_shots": 0.3, "nearest_shots/16": 0.3})
    near = followed({"tfidf": 0.6, "zero_shot": 0.1, "nearest_shots": 0.6, "nearest_shots/16": 0.6})
    assert did(far)["nearest_shots(k=16)"] == "leave out"
    assert "nearest_shots is shown to be behind" in why(far, "nearest_shots(k=16)")
    assert "nearest_shots(k=16)" in ran(near)


def test_a_search_is_expected_to_begin_at_the_best_prompt():
    task = Task(data={"file": "rows.jsonl"}, success={"metric": "exact"})
    inputs = ComparisonInputs(task, "s", SPLIT)
    search = spec("optimised_prompt").model_copy(update={"options": {"budget": 8}})
    measured = followed({"zero_shot": 0.2, "few_shot": 0.6}).runs
    known = Schedule(inputs, measured, (), {}, lambda minutes, pace: minutes)
    nothing = Schedule(inputs, (), (), {}, lambda minutes, pace: minutes)
    assert known._guess(search)[0] == known.columns["few_shot"].mean
    assert nothing._guess(search)[0] != known._guess(search)[0]
    assert nothing.leader is None
    assert nothing.next_step(10.0) is None


def test_the_only_arm_is_scored_on_all_its_rows():
    assert rows(followed({"majority": 0.1, "zero_shot": 0.5}), "zero_shot") == N
    aimed = followed({"zero_shot": 0.1, "few_shot": 0.9}, success={"target": 0.8})
    assert rows(aimed, "few_shot") == N
    assert rows(followed({"zero_shot": 0.1, "few_shot": 0.9}), "few_shot") < N


def test_a_step_that_may_not_end_in_time_does_not_begin():
    arms = {"zero_shot": 0.1, "few_shot": 0.4, "lora": 0.9}
    for minutes in (0.5, 1.0, 2.0, 4.0, 10.0):
        found = followed(arms, minutes=minutes)
        assert found.spent <= minutes
        assert ("lora" in ran(found)) == (minutes > 1)
    slow = type("Slow", (Drawn,), {"slower": 3.0})
    found = followed(arms, minutes=9.0, cls=slow)
    assert 0 < found.spent <= 9.0


def test_an_arm_that_fails_gets_no_further_step():
    failing = type("Failing", (Drawn,), {"fails": ("lora",)})
    found = followed({"zero_shot": 0.1, "few_shot": 0.4, "lora": 0.9}, cls=failing)
    assert [step.arm for step in found.steps].count("lora") == 1


def with_more(follow, minutes):
    """Run the schedule again on the ledger of a study that ended, with more minutes."""
    return again(type(follow), follow.runner, follow.frozen, follow.inputs, minutes, follow.right)


def test_a_second_run_takes_the_same_steps_and_more_minutes_go_on_after_them():
    right = {"tfidf": 0.7, "zero_shot": 0.2, "few_shot": 0.5, "lora": 0.76}
    first = followed(right, minutes=4.0)
    same = with_more(first, 4.0)
    more = with_more(first, 60.0)
    order = [[(s.arm, s.do) for s in one.steps if s.do == "run"] for one in (first, same, more)]
    assert order[0] == order[1] == order[2][: len(order[0])]
    assert rows(more, "lora") == N > rows(first, "lora")
    assert not any(run.because == NO_ROOM_FOR_FOLDS for run in more.runs)


def test_a_plan_that_has_lost_an_arm_skips_its_kept_steps():
    first = followed({"zero_shot": 0.2, "few_shot": 0.5})
    less = first.frozen.model_copy(update={"arms": first.frozen.arms[:1]})
    found = again(Drawn, first.runner, less, first.inputs, 600.0, first.right)
    assert ran(found) == {"zero_shot"}


STOPPED = Reason(why=Why.STOPPED)


class Stopping(Drawn):
    """A stop (130), or the end of the minutes, while a step or an arm runs: {what: code}."""

    at: dict

    def _measure(self, runner, part, what, planned):
        if what not in self.at:
            return super()._measure(runner, part, what, planned)

        def stop():
            raise signals.StopRequested(self.at[what])

        self._timed(what, stop)
        return []

    def run(self):
        try:
            yield from super().run()
        except signals.StopRequested:
            self.end(STOPPED)


def stopping(at):
    return type("StoppingAt", (Stopping,), {"at": at})


def test_what_a_stop_left_out_says_so():
    right = {"majority": 0.3, "zero_shot": 0.45, "few_shot": 0.5, "oracle": 0.9}
    found = followed(right | {"lora": 0.9}, cls=stopping({"step 0 of lora": 130}))
    assert "`tuneworthy run` goes on" in why(found, "lora")
    assert "`tuneworthy run` goes on" in why(found, "oracle")
    early = followed(right, cls=stopping({"all of majority": 130}))
    assert set(did(early)) == set(right)
    assert all(step.why == str(STOPPED) for step in early.steps)


def test_a_step_that_the_minutes_end_says_that_there_was_no_room():
    """Else an arm that had taken the minutes was in no table, and nothing said why."""
    right = {"tfidf": 0.5, "zero_shot": 0.1, "few_shot": 0.4, "lora": 0.9}
    first = followed(right, cls=stopping({"step 0 of lora": signals.TIME_UP}))
    assert (did(first)["lora"], why(first, "lora")) == ("leave out", str(NO_ROOM))
    assert (first.spent, first.left) == (first.minutes, 0.0)
    right = {"tfidf": 0.7, "zero_shot": 0.2, "lora": 0.76}
    later = followed(right, cls=stopping({"step 1 of lora": signals.TIME_UP}))
    note = f"scored on 80 of 400 rows: {NO_ROOM_FOR_FOLDS}"
    assert [run.notes for run in later.runs if run.spec.name == "lora"] == [(note,)]
    look = followed(right, cls=stopping({"all of tfidf": signals.TIME_UP}))
    assert why(look, "tfidf") == str(NO_ROOM)


def test_what_was_said_of_the_base_stays_where_its_first_fold_is_completed():
    """Else it lost the note with the rows that it was scored on, and why on no more."""
    found = followed({"tfidf": 0.9, "zero_shot": 0.1, "lora": 0.3})
    own = [run for run in found.runs if run.spec.name == "zero_shot"]
    assert own[-1].notes == (f"scored on 80 of 400 rows: {why(found, 'zero_shot')}",)
    assert own[-1].because == Reason(text=own[-1].notes[-1])


def test_rows_of_the_named_arm_that_had_no_room_are_not_said_to_be_needless():
    """Only the named arm had steps left: it was said that no row could change what is named."""
    found = followed({"tfidf": 0.7, "zero_shot": 0.2, "lora": 0.76}, minutes=4.0)
    assert 0 < rows(found, "lora") < N
    assert why(found, "lora") == str(NO_ROOM_FOR_FOLDS)


def test_rows_count_once_whatever_the_seeds():
    found = followed({"zero_shot": 0.1, "lora": 0.3}, minutes=3.0)
    arm = next(arm for arm in found.plan.arms if arm.spec.name == "lora")
    run = next(run for run in found.runs if run.spec.name == "lora")
    found.runs[:] = [run.model_copy(update={"seed": seed, "notes": ()}) for seed in range(3)]
    found._add_note(arm, NO_ROOM_FOR_FOLDS)
    assert found.runs[-1].notes == (f"scored on 80 of 400 rows: {NO_ROOM_FOR_FOLDS}",)


def test_a_ceiling_of_the_first_look_is_measured_once():
    """It was left out where no minutes were left, so the study lost what was measured."""
    right = {"zero_shot": 0.1, "oracle": 0.9}
    found = followed(right, minutes=0.001, cost={"oracle": 0.01})
    assert found.events.count("oracle") == 1
    assert "oracle" not in did(found)


def timed(follow, what="step", minutes=0.0):
    """Take something that lasts these minutes by the clock of the ledger."""
    done = []

    def do():
        done.append(what)
        follow.clock[0] += 60 * minutes
        signals.check()

    follow._timed(what, do)
    return bool(done)


@pytest.fixture
def resting(monkeypatch):
    """Return a function: the executor of a plan without arms and these minutes, and its clock."""
    clock = [0.0]
    monkeypatch.setattr(plan_cuts.time, "perf_counter", lambda: clock[0])

    def made(minutes, ledger=None):
        follow = Drawn(SimpleNamespace(ledger=ledger or MemoryLedger(), study="s"),
                       Plan.model_construct(arms=(), staged=True), None, [], [], minutes,
                       lambda event, data: None)  # fmt: skip
        follow.clock, follow._looked = clock, True
        return follow

    return made


def test_minutes_of_stopped_runs_count_towards_the_cap(resting, monkeypatch):
    """A training that was stopped after 50 of 60 minutes had 60 more when it went on."""
    limits = []
    monkeypatch.setattr(signals, "stop_after", lambda seconds, code: limits.append(seconds / 60)
                        or nullcontext())  # fmt: skip
    first = resting(60.0)
    monkeypatch.setattr(signals, "_stop_signal", 130)
    with pytest.raises(signals.StopRequested):
        timed(first, minutes=50.0)
    monkeypatch.setattr(signals, "_stop_signal", None)
    again = resting(60.0, first._ledger.ledger)
    assert timed(again, minutes=5.0)
    assert (limits, again.spent) == ([60.0, 10.0], 55.0)


def test_what_ended_in_an_earlier_run_is_read_whatever_minutes_are_left(resting):
    first = resting(60.0)
    assert timed(first, minutes=30.0)
    less = resting(5.0, first._ledger.ledger)
    assert timed(less)
    assert (less.spent, less.time_up) == (30.0, False)
    assert not timed(less, "another"), "nothing begins after the minutes"
    assert less.time_up


@pytest.mark.parametrize("slower", [0.3, 3.0, 10.0, 40.0])
def test_a_machine_that_is_slower_than_planned_keeps_the_cap(slower, monkeypatch):
    """The step that shows it is stopped at its next safe point, a second later at most."""
    clock, ends = [0.0], []

    @contextmanager
    def stop_after(seconds, code):
        ends.append((clock[0] + seconds, code))
        yield
        ends.pop()

    monkeypatch.setattr(plan_cuts.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(signals, "stop_after", stop_after)

    class Clocked(Drawn):
        def _measure(self, runner, part, what, planned):
            new = []

            def work():
                left = 60 * slower * planned
                while left > 0:
                    clock[0] += min(1.0, left)
                    left -= 1.0
                    if clock[0] >= ends[-1][0]:
                        raise signals.StopRequested(ends[-1][1])
                new.append(part)

            took = self._timed(what, work)
            if not new:
                return []
            self._pace.add(part.pace, planned, took)
            self.slower, spent = 0.0, self.spent
            runs = super()._measure(runner, part, f"{what}, scored", planned)
            self.spent = spent
            return runs

    right = {"tfidf": 0.7, "zero_shot": 0.2, "few_shot": 0.5, "lora": 0.76}
    found = followed(right, minutes=6.0, cost={"tfidf": 0.01}, cls=Clocked)
    assert clock[0] <= 6.0 * 60 + 1
    assert found.spent <= 6.0 + 1 / 60
    assert set(right) == ran(found) | {step.arm for step in found.steps}
    assert ("lora" in ran(found)) == (slower < 10)


def test_the_first_look_has_one_minute_and_not_one_an_arm(resting, monkeypatch):
    follow = resting(0.1)
    follow._looked = False
    monkeypatch.setattr(signals, "_stop_signal", signals.TIME_UP)
    monkeypatch.setattr(signals, "stop_after", lambda seconds, code: nullcontext())
    timed(follow, "slow", minutes=1.0)
    assert (follow.time_up, follow.spent) == (True, 1.0)
    assert not timed(follow, "next")


def test_of_a_large_fold_128_rows_of_the_base_are_read_to_explain(monkeypatch):
    ids = [f"c{at:04}" for at in range(2000)]
    split = Split(k=1, parts=(Part(train=("other",), dev=(), test=tuple(ids)),))
    for name, value in {"N": 2000, "IDS": ids, "FOLDS": 1, "SPLIT": split}.items():
        monkeypatch.setitem(globals(), name, value)
    found = followed({"zero_shot": 0.1, "few_shot": 0.9, "lora": 0.5})
    rows = {run.spec.name: len(run.answers) for run in found.runs}
    assert rows["zero_shot"] == 128
    assert rows["few_shot"] >= 128


def test_the_minutes_that_the_plan_took_are_part_of_the_cap():
    right = {"tfidf": 0.7, "zero_shot": 0.2, "few_shot": 0.5, "lora": 0.76}
    whole, less = (
        followed(right, minutes=6.0, cost={"tfidf": 0.01}, cls=partial(Drawn, planning=planning))
        for planning in (0.0, 4.0)
    )
    assert 4.0 < less.spent <= 6.0
    assert len(less.steps) < len(whole.steps)
    assert whole.moments[-1] != LAST_STEP in whole.moments


def test_without_the_schedule_nothing_is_stopped(resting):
    follow = resting(1.0)
    follow.plan = Plan.model_construct(arms=(), staged=False)
    assert timed(follow, minutes=5.0)
    assert timed(follow, "more", minutes=5.0)
    assert follow.spent == 10.0


def test_possible_arms_and_steps_widen_bounds():
    found = followed({"tfidf": 0.7, "zero_shot": 0.6, "few_shot": 0.65, "lora": 0.76})
    columns = {name: column(runs) for name, runs in by_spec(found.runs).items()}
    assert len(columns["lora"].runs) == FOLDS

    def told(**change):
        shape = replace(found.inputs, **{"possible_arms": 0, "folds": {}, "looked": {}, **change})
        both = PairTable(shape, columns, {}).pairs(["lora", "tfidf"])
        return [next(p for p in both if (p.arm, p.versus) == (arm, "tfidf"))
                for arm in ("few_shot", "lora")]  # fmt: skip

    plain, paid = told(), told(possible_arms=9)
    last, first = told(looked={"lora": (1, 2)}), told(folds={"lora": 5 * FOLDS})
    assert paid[0].high > plain[0].high
    assert plain[1].low > last[1].low > first[1].low
    assert last[0] == first[0] == plain[0], "only pairs of the arm that was looked at pay for it"


def test_a_part_of_a_fold_spends_a_part_of_its_error():
    found = followed({"zero_shot": 0.5, "few_shot": 0.5}, minutes=0.001)
    one = column([run for run in found.runs if run.spec.name == "zero_shot"])
    assert one.folds_done(SPLIT) == pytest.approx(32 / 80)
    assert found.inputs.error_multiple(one) == pytest.approx(32 / 400)


def test_beside_the_arms_comes_what_fits_into_the_minutes_left():
    from tuneworthy.records.plan import OptionalMeasurement

    kinds = tuple(
        OptionalMeasurement(what=w, minutes=m) for w, m in (("a", 2.0), ("b", 3.0), ("c", 1.0))
    )
    plan = Plan.model_construct(arms=(), beside=kinds)
    assert [e.what for e in fit_extras(plan, 4.0).beside if not e.because] == ["a", "c"]
    assert all(e.because == str(NO_ROOM) for e in fit_extras(plan, -1.0).beside)


def test_the_causes_get_the_first_fold_of_the_base_and_the_named_arm():
    found = followed({"zero_shot": 0.1, "few_shot": 0.9})
    assert {rows(found, "zero_shot"), rows(found, "few_shot")} == {80}
    assert rows(followed({"zero_shot": 0.1, "few_shot": 0.9}, minutes=0.1), "zero_shot") < 80


def probe(name, minutes, role="placebo"):
    own = spec(name).model_copy(update={"role": role})
    return Probe(PlannedArm(spec=own, minutes=minutes), frozenset())


def test_probes_run_as_far_as_the_minutes_go(monkeypatch):
    vote, placebo = probe("vote", 5.0, "candidate"), probe("lora", 0.5)
    monkeypatch.setattr(Drawn, "given", (vote, placebo))
    monkeypatch.setattr(
        Drawn, "_run_each", lambda self, needed: setattr(self, "probed", needed) or len(needed)
    )
    arms = {"zero_shot": 0.1, "few_shot": 0.9}
    assert followed(arms).probed == [vote, placebo]
    short = followed(arms, minutes=3.0)
    assert short.probed == [placebo]
    assert (did(short)["vote"], why(short, "vote")) == ("leave out", str(NO_ROOM))
    assert short.plan.read is None
    none = followed(arms, minutes=0.001)
    assert (none.probed, none.plan.read, none.plan.cuts) == ([], 0, (NO_DIAGNOSIS_CUT,))


def test_placebos_that_the_plan_did_not_cost_count_the_minutes_of_their_arms():
    """A plan without diagnosis lists no placebos; `--more 1m` then trained one for 5 minutes."""
    follow = followed({"zero_shot": 0.1, "lora": 0.9})
    prompt, lora = follow.plan.arms
    placebo = lora.spec.model_copy(update={"role": "placebo"})
    assert _probe_plan(lora, placebo, 0.1).minutes == pytest.approx(lora.minutes / FOLDS)
    assert _probe_plan(prompt, prompt.spec, 0.1).minutes == pytest.approx(prompt.minutes / 10)


def test_an_arm_may_end_after_its_first_cases_one_and_two_folds_or_all():
    units = ((0, 32), (0, 80), (1, 80), (2, 80), (3, 80))
    assert looked_after(units, 0.5) == pytest.approx((0.4, 1, 2))
    assert looked_after(units, 0.001) == pytest.approx((0.4,))
    assert looked_after(units[:2], 0.5) == pytest.approx((0.4,))
    assert looked_after((), 0.5) == ()
    arm = PlannedArm(spec=spec("zero_shot"), folds=(0, 1, 2, 3), units=units,
                     looked=looked_after(units, 0.5))  # fmt: skip
    assert [arm.may_end_after(steps) for steps in range(6)] == [True] * 4 + [False, True]


def test_an_arm_that_went_on_after_two_folds_is_measured_to_its_end():
    right = {"zero_shot": 0.1, "nearest_shots": 0.5, "rag": 0.52}
    found = followed(right)
    assert {rows(found, arm) for arm in right} <= {32, 80, 160, 400}


def test_a_whole_fold_is_timed_and_a_part_of_one_is_not():
    class Told(Drawn):
        asked: tuple = ()

        def _measure(self, runner, part, what, planned):
            self.asked += ((part.spec.name, runner is not None, what),)
            return super()._measure(runner, part, what, planned)

    found = followed({"zero_shot": 0.1, "few_shot": 0.9}, cls=Told)
    timed = {(name, what.split()[1]): whole for name, whole, what in found.asked}
    assert timed["zero_shot", "0"] is False
    assert timed["zero_shot", "1"] is True


def test_what_runs_at_once_and_was_stopped_by_the_minutes_is_left_out():
    class Endless(Drawn):
        def _measure(self, runner, part, what, planned):
            if part.spec.name == "tfidf":
                return []
            return super()._measure(runner, part, what, planned)

    assert did(followed({"tfidf": 0.9, "zero_shot": 0.5}, cls=Endless))["tfidf"] == "leave out"
