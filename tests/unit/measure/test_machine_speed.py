"""Each way to train has minutes of its own in a plan, and says what they rest on."""

import pytest

from tuneworthy.arms import distil, full, lora, prompt_distil, prompt_lora, teacher
from tuneworthy.measure.plan_cuts import PaceCorrection
from tuneworthy.measure.schedule_runner import ScheduleRunner
from tuneworthy.measure.timing import (
    ALL_WEIGHTS_FACTOR,
    AUTOGRAD_FACTOR,
    TRAINING_FACTOR,
    Speed,
)
from tuneworthy.models import size_beside
from tuneworthy.models.scripted import Scripted
from tuneworthy.records.arm import Sizes, Work
from tuneworthy.records.run import Spec

SIZES = Sizes(cases=50, train=200, dev=0, shared=50, own=20, shot=40, answer=5, cap=8, labels=6,
              unlabelled=400)  # fmt: skip
SPEED = Speed(read=1000, written=100, engine=True, single_precision_ratio=2.0)


def minutes(arm, speed=SPEED, **options):
    return speed.minutes(arm.estimate(SIZES, arm.Options(**options)))


def spec_of(name):
    return Spec(arm=name, name=name, tool="tune", role="candidate", simplicity=1)


def test_a_trained_token_takes_as_long_as_its_way_of_training():
    plain = SPEED.passes("adapter")
    assert plain == TRAINING_FACTOR
    assert SPEED.passes("autograd") == TRAINING_FACTOR * AUTOGRAD_FACTOR
    assert SPEED.passes("whole") == TRAINING_FACTOR * AUTOGRAD_FACTOR * ALL_WEIGHTS_FACTOR * 2.0
    slow = Speed(read=1000, written=100)  # without the CPU engine all take the general path
    assert slow.passes("autograd") == slow.passes("adapter") == TRAINING_FACTOR
    assert slow.passes("whole") == TRAINING_FACTOR * ALL_WEIGHTS_FACTOR


def test_the_trained_arms_differ():
    usual = minutes(lora)
    assert minutes(full) > 2 * usual
    assert minutes(lora, dora=True) == minutes(lora, prompt_loss=0.1) > 1.5 * usual
    assert minutes(prompt_lora) > usual, "its rows carry the examples"
    assert minutes(prompt_distil) > usual


def test_a_student_takes_the_time_of_its_teacher_and_of_its_layers():
    one = minutes(distil)
    larger = Speed(**{**vars(SPEED), "teacher": 8.0})
    served = Speed(**{**vars(SPEED), "teacher": 0.0})
    assert minutes(distil, larger) > one > minutes(distil, served)
    assert minutes(distil, served) == minutes(distil, served, samples=64), "its own time is apart"
    half = minutes(distil, served, student="layers", every=2)
    assert half == pytest.approx(minutes(distil, served) / 2)
    assert minutes(distil, loss="kl") > one, "by autograd, and the teacher reads each answer"
    assert minutes(distil, served, student="classifier") == 0
    assert minutes(teacher, larger) == 8 * minutes(teacher)


def test_what_was_not_measured_is_said():
    asked = (("lora", lora, {}), ("full", full, {}), ("distil", distil, {"loss": "kl"}))
    specs = [
        (spec_of(name), arm.estimate(SIZES, arm.Options(**options))) for name, arm, options in asked
    ]
    lines = Speed(**{**vars(SPEED), "teacher": None}).assumptions(specs)
    assert len(lines) == 4
    assert "lora: a trained token counts 3.3 tokens read, by figures of other machines" in lines
    assert any("full" in line and "not measured" in line for line in lines)
    assert any("the size of the teacher is unknown" in line for line in lines)
    assert SPEED.assumptions([(spec_of("majority"), Work())]) == ()


def runner(planned, took):
    made = ScheduleRunner.__new__(ScheduleRunner)
    made._pace, made.spent = PaceCorrection(planned, took), sum(took.values())
    return made


def test_a_measured_pace_corrects_its_own_estimates():
    mixed = runner({"": 1.0, "adapter": 1.0, "whole": 0.1}, {"": 1.0, "adapter": 3.0, "whole": 0.1})
    assert mixed._pace.corrected(10, "adapter") == 30
    assert mixed._pace.corrected(10, "whole") == pytest.approx(10 * 4.1 / 2.1), (
        "too little was seen of it"
    )
    assert mixed._pace.corrected(10, "") == pytest.approx(10 * 4.1 / 2.1)
    assert runner({"": 0.1}, {"": 0.4})._pace.corrected(10, "adapter") == 10
    assert runner({"whole": 1.0}, {"whole": 100.0})._pace.corrected(1, "whole") == 10, (
        "within a limit"
    )


def test_the_size_of_a_teacher(tmp_path):
    base = Scripted("scripted:base", lambda prompt, limits: "")
    assert size_beside("openai:m", tmp_path, base) == 0
    assert size_beside("scripted:x", tmp_path, base) == 0

    class Local:
        module = type("Module", (), {"parameters": lambda self: []})()

    assert size_beside("hf:ORG/NAME", tmp_path, Local()) is None
    assert size_beside("hf:./nothing", tmp_path, Local()) is None
