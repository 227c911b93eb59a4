"""The sections on changes and steadiness: drawn from records, escaped, silent without records."""

import pytest
from markupsafe import Markup
from study_fixture import drawn, study

from tuneworthy.records.further import (
    BeforeAfter,
    LayerChange,
    ModelChanges,
    Proportion,
    RobustnessResult,
    SideEffects,
    Slice,
    Slices,
)
from tuneworthy.records.interval import Interval
from tuneworthy.report import _charts as charts
from tuneworthy.report.steadiness_sections import robustness_section
from tuneworthy.report.training_sections import changes_section

EVIL = "<script>alert(1)</script>"


def interval(mean, half=0.05):
    return Interval(mean=mean, low=mean - half, high=mean + half)


def shake(arm, how, temperature, k):
    share = Proportion(k=k, n=50, share=k / 50, low=max(0, k / 50 - 0.1), high=min(1, k / 50 + 0.1))
    return RobustnessResult(
        arm=arm, how=how, temperature=temperature, n=50, valid=share, score=interval(0.7)
    )


@pytest.fixture(scope="module")
def results():
    layers = tuple(
        LayerChange(layer=str(i), ratio=0.01 * (i + 1), rank=16, effective_rank=5.0 + i,
                    shift_on=0.1, shift_off=0.02 * i)
        for i in range(6)
    )  # fmt: skip
    changes = ModelChanges(
        arm="lora", seed=0, fold=0, ratio=0.02, layers=layers, kl_on=interval(0.4),
        kl_off=interval(0.1), n_on=48, n_off=96, asked=12, differ=9,
        examples=(BeforeAfter(case="c1", before=EVIL, after="{}", score_before=None,
                              score_after=1.0),),
    )  # fmt: skip
    harm = SideEffects(
        arm="lora",
        general=interval(0.031, 0.01),
        general_n=96,
        kl_on=0.4,
        kl_off=0.1,
        missing={"ece": "the answers are no labels"},
    )
    shakes = [shake(arm, "temperature", t, int(50 - slope * t))
              for arm, slope in (("lora", 20), (EVIL, 0)) for t in (0.0, 0.7, 1.3)]  # fmt: skip
    shakes.append(shake("lora", "reworded 1", 0.0, 49))
    parts = (Slice(kind="length", name="long", n=12, score=interval(0.5), rival=interval(0.6),
                   delta=interval(-0.1)),
             Slice(kind="group", name=EVIL, n=40, score=interval(0.5), rival=interval(0.6),
                   delta=interval(-0.1)))  # fmt: skip
    slices = Slices(
        arm="lora",
        rival="constrained",
        n=250,
        slices=parts,
        said=("2 were looked at",),
        missing={"time": "fewer than 6 scored rows have a `time`"},
    )
    base = study()
    more = {"changes": (changes,), "harms": (harm,), "shakes": tuple(shakes), "slices": (slices,)}
    return base.model_copy(update={"evidence": base.evidence.model_copy(update=more)})


def test_nothing_measured_is_no_section():
    assert robustness_section(study()) is None
    assert changes_section(study()) is None


def test_the_section_on_changes_holds_its_figures_and_reasons(results):
    text = drawn(changes_section(results))
    for words in ("2 %", "0.4 nats a token", "9 of 12", "+3.1 % (+2.1 … +4.1)", "of 16", "96 texts",
                  "the answers are no labels", "not measured"):  # fmt: skip
        assert words in text, words
    assert text.count("<svg") >= 3
    assert EVIL not in text
    assert "&lt;script&gt;" in text


def test_the_section_on_steadiness_draws_a_line_an_arm(results):
    curves, *parts = robustness_section(results).parts
    assert [one.title for one in curves.of] == ["Valid answers by temperature",
                                                "Score by temperature"]  # fmt: skip
    assert [name for _, name in curves.of[0].legend] == ["lora", EVIL]
    steady, _, others = parts[:3]
    assert steady.of[0][1].startswith("lora: 50 of 50 valid at temperature 0, 24 of 50 at 1.3")
    assert [row[1] for row in others.rows] == ["as it is", "reworded 1"]
    text = drawn(robustness_section(results))
    assert EVIL not in text
    assert text.count('class="small"') == 1
    assert "2 were looked at" in text
    assert "<code>time</code>" in text


def test_one_temperature_is_no_curve(results):
    one = results.evidence.model_copy(update={"shakes": results.evidence.shakes[:1], "slices": ()})
    assert robustness_section(results.model_copy(update={"evidence": one})) is None


def test_lines_are_as_high_as_their_values():
    high = charts.named_lines_chart(
        [charts.ChartLine("a", "c1", ((0.0, 0.2), (1.0, 0.9)))], ("x", "share")
    )
    flat = charts.named_lines_chart(
        [charts.ChartLine("a", "c1", ((0.0, 0.2), (1.0, 0.2)))], ("x", "share")
    )
    assert isinstance(high, Markup)
    assert "a, 1: 0.9" in high
    assert high != flat
