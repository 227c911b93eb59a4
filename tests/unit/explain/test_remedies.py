"""Which causes an arm may repair, and what a diagnosis says for it and against it."""

import pytest

from tuneworthy.explain.diagnosis import with_minutes
from tuneworthy.records.audit_report import DetectableDifference
from tuneworthy.records.causes import CAUSES_BY_REMEDY, Wrong, repairable_causes
from tuneworthy.records.evidence import ArmResult, Evidence, Interval
from tuneworthy.records.plan import EndpointLoad, Plan, PlannedArm
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.records.reason import NO_ROOM, NO_ROOM_FOR_FOLDS, Reason
from tuneworthy.records.run import Spec


def spec(arm, role="candidate", tool=None):
    if tool is None and arm in catalogue("arms"):
        tool = load("arms", arm).TOOL or None
    return Spec(name=arm, arm=arm, role=role, tool=tool)


def rows(**shares):
    return [
        Wrong(cause=cause, share=share, low=0.0, high=1.0, n=100, arm=None, placebo=None)
        for cause, share in shares.items()
    ]


@pytest.mark.parametrize(
    ("arm", "causes"),
    [
        ("zero_shot", set()),
        ("few_shot", {"convention"}),
        ("nearest_shots", {"convention"}),
        ("optimised_prompt", {"convention"}),
        ("vote", {"latent"}),
        ("constrained", {"format"}),
        ("rag", {"knowledge", "retrieval"}),
        ("bigger", {"capability", "reading"}),
        ("lora", {"learnable", "latent"}),
        ("prompt_lora", {"learnable", "latent"}),
        ("rag_lora", {"learnable", "latent", "reading", "knowledge"}),
        ("tfidf", set()),
    ],
)
def test_an_arm_repairs_what_it_declares(arm, causes):
    assert repairable_causes(spec(arm)) == causes


def test_every_remedy_that_an_arm_declares_stands_in_the_table():
    declared = {getattr(load("arms", arm), "REMEDY", None) for arm in catalogue("arms")}
    assert declared - {None} <= set(CAUSES_BY_REMEDY)


def test_what_can_not_be_named_repairs_nothing():
    assert repairable_causes(spec("oracle", role="ceiling")) == frozenset()
    assert repairable_causes(spec("lora", role="placebo")) == frozenset()


@pytest.mark.parametrize(
    ("tool", "causes"),
    [("tune", {"learnable", "latent"}), ("context", {"knowledge", "retrieval"}), ("prompt", set())],
)
def test_a_system_known_by_its_answers_repairs_what_its_tool_does(tool, causes):
    assert repairable_causes(spec("answers", tool=tool)) == causes
    assert repairable_causes(Spec(name="x", arm="not_installed_here", tool=tool)) == causes


def test_recorded_answers_without_a_tool_repair_nothing():
    assert repairable_causes(Spec(name="x", arm="answers")) == frozenset()


def result(name, because="", score=None):
    return ArmResult(name=name, tool="tune", role="candidate", simplicity=0, options={},
                     state="skipped" if because else "measured", because=because,
                     score=score)  # fmt: skip


def test_an_arm_left_out_for_minutes_says_what_it_would_take():
    sent = EndpointLoad(what="d", requests=9, most_requests=9, tokens=9, most_tokens=9, usd=1.0,
                most_usd=2.0, minutes=4.0)  # fmt: skip
    arms = [
        PlannedArm(spec=Spec(name="a", arm="lora"), minutes=11.2, because=NO_ROOM),
        PlannedArm(spec=Spec(name="b", arm="lora"), because=NO_ROOM),
        PlannedArm(spec=Spec(name="c", arm="lora"), minutes=3.0, because="needs a GPU"),
        PlannedArm(spec=Spec(name="d", arm="lora"), minutes=4.0, usd=2.0, sent=sent),
        PlannedArm(spec=Spec(name="e", arm="lora"), minutes=5.0),
    ]
    plan = Plan(
        task="t",
        rows="r",
        k=0,
        scored=1,
        train=1,
        dev=1,
        arms=tuple(arms),
        visible=DetectableDifference(n=1, d=0.1, factor=1.0, prompts=None, fitted=None),
    )
    found = Evidence(
        task="t", hash="h", n=1, looks=1, alpha=0.05, pairs=(),
        arms=(result("a", NO_ROOM), result("b", NO_ROOM), result("c", "needs a GPU"),
              result("d", f"{NO_ROOM}: the rule chose another"),
              result("e", score=Interval(mean=0.5, low=0.4, high=0.6)), result("f", NO_ROOM)),
    )  # fmt: skip
    told = {arm.name: (arm.more_minutes, arm.more_usd) for arm in with_minutes(found, plan).arms}
    assert told == {
        "a": (11.2, 0.0), "b": (None, None), "c": (None, None), "d": (4.0, 2.0),
        "e": (None, None), "f": (None, None),
    }  # fmt: skip


def test_an_arm_whose_further_folds_had_no_room_says_what_they_would_take():
    def told(n, note):
        arm = PlannedArm(spec=Spec(name="lora", arm="lora"), folds=(0, 1, 2, 3, 4), minutes=20.0,
                         looked=(1,))  # fmt: skip
        visible = DetectableDifference(n=1, d=0.1, factor=1.0, prompts=None, fitted=None)
        plan = Plan(task="t", rows="r", k=5, scored=400, train=320, dev=0, arms=(arm,),
                    visible=visible)  # fmt: skip
        scored = result("lora", score=Interval(mean=0.5, low=0.4, high=0.6))
        scored = scored.model_copy(update={"n": n, "because": Reason.from_older(note)})
        found = Evidence(task="t", hash="e" * 64, n=400, looks=1, alpha=0.05, arms=(scored,),
                         pairs=())  # fmt: skip
        return with_minutes(found, plan).arms[0].more_minutes

    stopped = "scored on 1 of 5 folds: "
    assert told(80, f"{stopped}still open, and {NO_ROOM_FOR_FOLDS}") == 16.0
    assert told(240, f"scored on 3 of 5 folds: {NO_ROOM_FOR_FOLDS}; a note") == 8.0
    assert told(400, "") is None
    assert told(80, f"{stopped}shown to be at most 5 points better than tfidf") is None, (
        "the rule stops it again, however many minutes there are"
    )


def test_an_arm_trained_on_a_part_of_the_rows_gets_the_minutes_of_the_whole_plan():
    def told(whole, **more):
        visible = DetectableDifference(n=1, d=0.1, factor=1.0, prompts=None, fitted=None)
        plan = Plan(task="t", rows="r", k=2, scored=9, train=320, dev=0, arms=(), visible=visible,
                    whole=whole)  # fmt: skip
        arm = result("lora", score=Interval(mean=0.5, low=0.4, high=0.6)).model_copy(update=more)
        found = Evidence(task="t", hash="e" * 64, n=9, looks=1, alpha=0.05, arms=(arm,), pairs=(),
                         train=320)  # fmt: skip
        return with_minutes(found, plan).arms[0].whole_minutes

    part = {"options": {"rows": 100}}
    assert told(41.3, **part) == 41.3
    assert told(None, **part) is None
    assert told(41.3, options={"rows": None}) is None
    assert told(41.3, **part, name="lora(rows=100)") is None, "as asked"
    assert told(41.3, **part, score=None) is None
