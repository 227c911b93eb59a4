"""Arms asked at other temperatures and in other words: the same cases, the same arm, stored."""

from dataclasses import replace

import pytest
from tests.runner_kit import bench_of, cases, planned

from tuneworthy.arms.prompt.messages import build
from tuneworthy.measure.further.rewording import LENGTHENED_NOTE, SHORTENED_NOTE, rewordings
from tuneworthy.measure.further.robustness import TEMPERATURES, measure_robustness, robustness_arms
from tuneworthy.measure.units import measure
from tuneworthy.models._reply_cache import RequestOverrides, with_overrides
from tuneworthy.models.scripted import Scripted, last_user
from tuneworthy.records.arm import Recipe
from tuneworthy.records.evidence import ArmResult, Evidence
from tuneworthy.records.interval import Interval
from tuneworthy.records.model import Limits
from tuneworthy.records.record import digest
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.task import Data, Output, Success, Task

LABELS = ("billing", "delivery", "defect")
TASK = Task(
    instruction="Name the topic.",
    data=Data(file="rows.jsonl"),
    output=Output(type="label", labels=LABELS, max_tokens=8),
)


class Asked:
    """A model that knows every topic, and at a temperature breaks its form that often."""

    def __init__(self):
        self.seen = []

    def __call__(self, prompt, limits):
        self.seen.append((tuple(m.content for m in prompt), limits.temperature))
        right = next(label for label in LABELS if label in last_user(prompt))
        draw = int(digest([last_user(prompt), limits.seed], 8), 16) / 16**8
        return f"It is {right}, I think" if draw < limits.temperature / 2 else right


@pytest.fixture
def opened(tmp_path):
    asked = Asked()
    with bench_of(tmp_path, TASK, cases(60, LABELS), {"base": Scripted("scripted:t", asked)}) as b:
        yield b, asked


def runs_of(bench, *arms):
    recipes = [Recipe() for _ in bench.split.parts]
    return [run for arm in arms for run in measure(bench, planned(arm, bench), recipes, False)]


def test_validity_falls_with_the_temperature_as_it_was_planted(opened):
    bench, _ = opened
    runs = runs_of(bench, "zero_shot")
    found = measure_robustness(bench, runs, ["zero_shot"])
    curve = [one for one in found if one.how == "temperature"]
    assert [one.temperature for one in curve] == list(TEMPERATURES)
    valid = [one.valid.share for one in curve]
    assert valid[0] == 1.0
    assert valid[0] > valid[2] > valid[4]
    assert abs(valid[4] - 0.35) < 0.2
    assert all(one.n == one.valid.n <= 60 for one in curve)
    assert all(one.score.low <= one.score.mean <= one.score.high for one in found)
    answered = [a.text for run in runs for a in run.answers]
    assert all(text in LABELS for text in answered), "the study's own answers stay cold"


def test_copies_of_an_input_widen_validity_and_score(opened):
    bench, _ = opened
    runs = runs_of(bench, "zero_shot")
    first = min(bench.split.scored)
    copies = {"groups": dict.fromkeys(bench.split.scored, first), "only_copies": True}
    grouped = replace(bench, split=bench.split.model_copy(update=copies))
    alone, same = (measure_robustness(b, runs, ["zero_shot"])[0] for b in (bench, grouped))
    assert (alone.valid.share, alone.score.mean) == (same.valid.share, same.score.mean) == (1, 1)
    assert alone.valid.low > 0.9
    assert (same.valid.low, same.score.low) == (0, 0), "one input shows nothing of others"


@pytest.mark.parametrize(("rows", "measured"), [(40, True), (16, False)])
def test_a_metric_of_all_answers_gives_the_score_of_the_ladder(tmp_path, rows, measured):
    task = TASK.model_copy(update={"output": Output(type="text", max_tokens=8),
                                   "success": Success(metric="style_match+token_f1")})  # fmt: skip
    told = Scripted("scripted:t", lambda prompt, limits: Asked()(prompt, limits).upper() + "!")
    with bench_of(tmp_path, task, cases(rows, LABELS), {"base": told}) as bench:
        runs = runs_of(bench, "zero_shot")
        found = measure_robustness(bench, runs, ["zero_shot"])
        gold = bench.sealed.open("score")
        alone = [bench.metric(gold[a.case], a).value for r in runs for a in r.answers]
    if not measured:  # 8 answers a fold are too few to tell a style
        assert found == ()
        return
    ladder = [score.value for run in runs for score in run.scores]
    cold = next(one for one in found if one.how == "temperature" and one.temperature == 0)
    assert cold.score.mean == pytest.approx(sum(ladder) / rows, abs=1e-6)
    assert abs(sum(alone) - sum(ladder)) / rows > 0.02


def test_nothing_is_asked_twice(opened):
    bench, asked = opened
    runs = runs_of(bench, "few_shot")
    first = measure_robustness(bench, runs, ["few_shot"])
    count = len(asked.seen)
    assert measure_robustness(bench, runs, ["few_shot"]) == first
    assert len(asked.seen) == count


def test_an_arm_that_chose_on_dev_keeps_what_it_chose(opened):
    bench, asked = opened
    runs = runs_of(bench, "few_shot")
    asked.seen.clear()
    measure_robustness(bench, runs, ["few_shot"])
    warm = {head for head, temperature in asked.seen if temperature > 0}
    own = {tuple(m.content for m in a.prompt) for run in runs for a in run.answers}
    assert warm
    assert warm <= own


def test_all_arms_are_asked_the_same_cases(opened):
    bench, asked = opened
    runs = runs_of(bench, "zero_shot", "few_shot")
    asked.seen.clear()
    found = measure_robustness(bench, runs, ["zero_shot", "few_shot"])
    assert {one.n for one in found} == {found[0].n}
    inputs = {head[-1] for head, t in asked.seen if t == 1.3}
    assert len(inputs) == found[0].n


def test_other_words_and_the_other_length_of_prompt(opened):
    bench, _ = opened
    runs = runs_of(bench, "few_shot", "zero_shot")
    found = measure_robustness(bench, runs, ["few_shot", "zero_shot"])
    hows = {arm: {s.how for s in found if s.arm == arm} for arm in ("few_shot", "zero_shot")}
    assert hows["few_shot"] == {
        "temperature",
        "reworded 1",
        "reworded 2",
        "reworded 3",
        SHORTENED_NOTE,
    }
    assert hows["zero_shot"] == hows["few_shot"]
    assert all(one.valid.share == 1 for one in found if one.how != "temperature")


def prompts_of(kind, train):
    recipe = Recipe(kind=kind, k=2 if kind == "few" else 0)
    return [build(TASK, case.query(), recipe, train) for case in train[:3]]


def test_rewordings_change_the_instruction_alone():
    train = cases(9, LABELS)
    found = {one.how: one for one in rewordings(TASK, prompts_of("few", train), "prompt")}
    for prompt in prompts_of("few", train):
        for how in ("reworded 1", "reworded 2", "reworded 3"):
            new = found[how].change(prompt)
            assert "Name the topic." in new[0].content
            assert new[0].content != prompt[0].content
            assert list(new[1:]) == list(prompt[1:])
        bare = found[SHORTENED_NOTE].change(prompt)
        assert [m.content for m in bare] == ["Name the topic.", prompt[-1].content]
    assert LENGTHENED_NOTE not in found


def test_a_short_prompt_is_written_out_and_a_user_s_own_is_left_alone():
    train = cases(9, LABELS)
    hows = [one.how for one in rewordings(TASK, prompts_of("short", train), "tune")]
    assert LENGTHENED_NOTE in hows
    assert SHORTENED_NOTE not in hows
    own = [build(TASK, c.query(), Recipe(kind="file", text="Sort: {input}"), ()) for c in train]
    assert rewordings(TASK, own, "keep") == []
    assert SHORTENED_NOTE not in [
        r.how for r in rewordings(TASK, prompts_of("few", train), "schema")
    ]


def test_the_dial_overrides_what_the_arm_asks_and_stores_it(tmp_path):
    seen, kept = [], {}

    def respond(prompt, limits):
        seen.append(limits)
        return "yes"

    def store(key, make):
        if key not in kept:
            kept[key] = make()
        return kept[key]

    dial = RequestOverrides(seed=7)
    model = with_overrides(Scripted("scripted:t", respond), dial, store)
    prompt = cases(1, LABELS)[0].messages
    model.reply([prompt], Limits(max_tokens=3))
    with dial.at(0.7):
        model.reply([prompt], Limits(max_tokens=3))
        model.reply([prompt], Limits(max_tokens=3))
    model.reply([prompt], Limits(max_tokens=3))
    assert [(one.temperature, one.seed) for one in seen] == [(0, 0), (0.7, 7)]
    assert model.count_tokens(prompt) > 0
    assert model.respond is respond  # what it does not define is the model's own


def test_the_two_best_and_the_tuned_one_are_shaken():
    def arm(name, mean, tool="prompt", **more):
        score = Interval(mean=mean, low=mean, high=mean)
        return ArmResult(name=name, tool=tool, role="candidate", simplicity=1, options={},
                         state="measured", score=score, finalist=True, **more)  # fmt: skip

    arms = (arm("keep", 0.9, "keep"), arm("tfidf", 0.95, "classifier"), arm("few", 0.8),
            arm("held", 0.7, "schema"), arm("lora", 0.5, "tune"))  # fmt: skip
    evidence = Evidence(task="t", hash="h", n=9, looks=1, alpha=0.05, arms=arms, pairs=())
    runs = [
        Run(spec=Spec(name=a.name, arm=a.name), seed=0, fold=0, state="measured",
            fingerprint={} if a.name == "tfidf" else {"engine": "hf"})
        for a in arms
    ]  # fmt: skip
    assert robustness_arms(evidence, runs) == ("keep", "few", "lora")
    assert robustness_arms(evidence, runs[2:]) == ("few", "held", "lora")
