"""What is measured beside the arms: as far as the minutes go, the last kinds cut first."""

from tests.unit.measure.test_auto_arms import facts

from tuneworthy.measure.further.runner import (
    BRIEF_NOTE,
    HARM,
    KINDS,
    KNOWN,
    TEMPERATURES,
    plan_extras,
    why_left_out,
)
from tuneworthy.measure.plan_cuts import fit_extras
from tuneworthy.measure.planning import make_plan
from tuneworthy.records.reason import NO_ROOM
from tuneworthy.records.specs import specs
from tuneworthy.records.task import Data, Output, Task


def planned(speed, minutes=1.0, brief=False, **more):
    output = more.pop("output", Output(type="label", labels=("a", "b"), max_tokens=4))
    job = Task(data=Data(file="rows.jsonl"), output=output, budget={"minutes": minutes},
               arms=("zero_shot", "lora"), **more)  # fmt: skip
    known = facts(job, speed, training="")
    plan = make_plan(known, specs(job), "rows", "study")
    return fit_extras(plan.model_copy(update={"beside": plan_extras(known, plan, brief)}),
                        minutes - plan.minutes).beside  # fmt: skip


def test_a_fast_machine_measures_all_a_slow_one_what_there_is_room_for():
    kept, cut = {}, {}
    for speed in (1e9, 4000.0, 2000.0, 1000.0, 10.0):
        found = planned(speed)
        names = [extra.what for extra in found]
        assert names == [kind for kind in KINDS if kind in names]
        assert all(extra.because in ("", str(NO_ROOM)) for extra in found)
        kept[speed] = [extra.what for extra in found if not extra.because]
        cut[speed] = [extra.what for extra in found if extra.because]
        assert sum(extra.minutes for extra in found if not extra.because) <= 1.0
    assert kept[1e9] == [kind for kind in KINDS if kind != KNOWN]
    assert not kept[10.0]
    assert TEMPERATURES in cut[10.0]
    assert any(kept[speed] and cut[speed] for speed in kept), "cut in part somewhere between"


def test_a_brief_run_measures_none():
    assert {extra.because for extra in planned(1e9, brief=True)} == {BRIEF_NOTE}


def test_what_a_hard_limit_needs_is_never_cut():
    limits = {"limits": {"general_drop": 0.05}}
    for found in (planned(10.0, success=limits), planned(1e9, brief=True, success=limits)):
        assert [extra.what for extra in found if not extra.because] == [HARM]


def test_what_a_model_knows_is_asked_where_answers_are_facts():
    text = Output(type="text", max_tokens=8)
    assert KNOWN not in [extra.what for extra in planned(1e9, output=text)]


def test_a_kind_that_is_not_planned_says_so():
    assert why_left_out((), HARM)
    assert why_left_out(planned(1e9), HARM) == ""
    assert why_left_out(planned(1e9, brief=True), HARM) == BRIEF_NOTE
