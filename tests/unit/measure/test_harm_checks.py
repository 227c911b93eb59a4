"""What training cost: nothing where nothing changed, a broken limit where the model is wrecked."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.runner_kit import bench_of, cases, planned

from tuneworthy.arms.prompt.messages import build
from tuneworthy.explain.hard_limits import with_general_drop, with_optional_limits
from tuneworthy.measure.further import harm_checks as harms
from tuneworthy.measure.further import robustness as shaking
from tuneworthy.measure.further import tuned_model as tuned
from tuneworthy.measure.further.harm_checks import measure_harm
from tuneworthy.measure.further.tuned_model import (
    chat_prompts,
    divergence,
    open_tuned,
    openings,
    relative_rise,
)
from tuneworthy.measure.further.weight_changes import training_changes
from tuneworthy.measure.units import measure
from tuneworthy.records.answer import Score
from tuneworthy.records.arm import Recipe, Sizes
from tuneworthy.records.evidence import ArmResult, Evidence
from tuneworthy.records.further import KnowledgeProbe, SideEffects, for_verdict
from tuneworthy.records.interval import Interval
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.task import Data, Output, Task

LABELS = ("billing", "delivery", "defect")
TASK = Task(
    instruction="Name the topic.",
    data=Data(file="rows.jsonl"),
    output=Output(type="label", labels=LABELS, max_tokens=6),
)
SIZES = Sizes(cases=200, train=100, dev=20, shared=40, own=30, shot=50, answer=8, cap=16, labels=9)


def texts(n, rise, spread=0.0, seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        count, each = int(rng.integers(10, 50)), rng.uniform(1, 3)
        change = 1 + rise + spread * rng.standard_normal()
        rows.append([count, count * each, count * each * change, count * 0.1])
    return rows


def test_the_rise_is_that_of_all_tokens_with_its_interval():
    found = relative_rise(texts(96, 0.2))
    assert found.mean == pytest.approx(0.2, abs=1e-6)
    assert found.low == pytest.approx(found.high, abs=1e-6)
    assert divergence(texts(96, 0.2)).mean == pytest.approx(0.1)
    none = relative_rise(texts(96, 0.0))
    assert (none.low, none.mean, none.high) == (0, 0, 0)
    with pytest.raises(ValueError, match="no texts"):
        relative_rise([])


def test_the_interval_of_the_rise_covers_and_can_miss():
    hit = sum(
        one.low <= 0.1 <= one.high
        for one in (relative_rise(texts(96, 0.1, 0.3, seed)) for seed in range(60))
    )
    assert 52 <= hit <= 60
    far = [relative_rise(texts(96, 0.3, 0.3, seed)) for seed in range(20)]
    assert not any(one.low <= 0.0 <= one.high for one in far)


def test_general_texts_are_ours_and_enough():
    assert len({c[0].content for c in chat_prompts()}) == 64
    assert len(set(openings())) == 32


def arm(name, tool, limits=("general_drop",)):
    return ArmResult(name=name, tool=tool, role="candidate", simplicity=1, options={},
                     state="measured", limits=dict.fromkeys(limits, "not measured"))  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "state"),
    [(0.06, 0.2, "violated"), (-0.01, 0.05, "met"), (0.02, 0.08, "not shown")],
)
def test_general_drop_has_three_states(low, high, state):
    measured = SideEffects(arm="lora", general=Interval(mean=(low + high) / 2, low=low, high=high))
    arms = [arm("lora", "tune"), arm("few", "prompt"), arm("other", "tune"), arm("now", "keep")]
    found = with_general_drop(arms, [measured], 0.05)
    states = {a.name: a.limits["general_drop"] for a in found}
    assert states == {"lora": state, "few": "met", "other": "not measured", "now": "not measured"}


def test_a_limit_that_was_not_tested_says_why():
    found = Evidence(task="t", hash="", n=9, looks=1, alpha=0.05, pairs=(),
                     arms=(arm("lora", "tune"),),
                     missing={"harms": "its weights are not here"})  # fmt: skip
    task = Task(data=Data(file="r.jsonl"), success={"limits": {"general_drop": 0.05}})
    assert with_optional_limits(task, found)[0].missing == {
        "limits.general_drop": "its weights are not here"
    }


def test_without_the_limit_or_a_figure_nothing_is_claimed():
    assert with_general_drop([arm("lora", "tune", ())], [], 0.05)[0].limits == {}
    assert (
        with_general_drop([arm("lora", "tune")], [], None)[0].limits["general_drop"]
        == "not measured"
    )
    lost = with_general_drop([arm("lora", "tune")], [SideEffects(arm="lora")], 0.05)
    assert lost[0].limits["general_drop"] == "not measured"


def test_calibration_gets_worse_where_sureness_is_not_earned():
    sure, right = np.full(200, 0.95), np.tile([1.0, 0.0], 100)
    fair = np.full(200, 0.5)
    worse = harms._ece_change((fair, right), (sure, right))
    assert worse.mean == pytest.approx(0.45)
    assert worse.low > 0.3
    same = harms._ece_change((fair, right), (fair, right))
    assert (same.low, same.mean, same.high) == (0, 0, 0)


def test_the_plan_gets_an_estimate():
    work, shakes = tuned.estimate(SIZES), shaking.estimate(SIZES, 3)
    assert work.written >= 96 * tuned.GENERAL_TOKENS
    assert work.trained == 0
    assert shakes.requests == 3 * 9 * 60
    assert shaking.estimate(SIZES, 1).requests * 3 == shakes.requests


def test_an_arm_without_an_adapter_has_no_harm_and_a_lost_one_says_so(tmp_path):
    with bench_of(tmp_path, TASK, cases(24, LABELS), {}) as bench:
        assert measure_harm(bench, [], "lora") is None
        assert training_changes(bench, [], "lora") is None
        runs = [run_of(bench, "gone/adapter", [])]
        found, changed = measure_harm(bench, runs, "lora"), training_changes(bench, runs, "lora")
    assert found.general is None
    assert "can't be opened" in found.missing["general"]
    assert set(found.missing) >= {"general", "tail", "ece", "known", "kl_on", "kl_off", "refusals"}
    assert changed.layers == ()
    assert "ratio" in changed.missing


def run_of(bench, artefact, answers):
    gold = bench.sealed.open("test")
    return Run(
        spec=Spec(name="lora", arm="lora", tool="tune"),
        seed=0,
        fold=0,
        state="measured",
        answers=tuple(answers),
        scores=tuple(Score(value=float(a.text == gold[a.case].output)) for a in answers),
        artefact=artefact,
        learned=True,
    )


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
    from models_kit import build as build_model

    from tuneworthy.models.hf import load

    sys.path.pop(0)
    folder = tmp_path_factory.mktemp("tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNEWORTHY_CACHE", str(folder / "cache"))
        return load(build_model("llama", folder / "model"), "hf:./model", "float32")


def adapter(engine, folder, std):
    """Write an adapter whose B has this standard deviation (0: it changes nothing)."""
    import torch

    from tuneworthy.models.train.twin import LoraShape, lora_twin, save_adapter

    peft = lora_twin(engine.module, LoraShape(rank=4, alpha=8), 0)
    with torch.no_grad():
        for name, weight in peft.named_parameters():
            if "lora_B" in name and std:
                weight.normal_(std=std, generator=torch.Generator().manual_seed(1))
    shutil.rmtree(folder, ignore_errors=True)
    base = {"spec": engine.spec, "weights": engine.fingerprint["weights"]}
    save_adapter(peft, folder, {"base": base})
    return folder


def measured(bench, engine, std):
    """Return the runs of zero_shot and of a tuned arm with such an adapter."""
    from tuneworthy.arms._prompted import as_answer
    from tuneworthy.records.model import Limits

    folder = adapter(engine, bench.task.folder / "unit" / "adapter", std)
    queries = bench.sealed.queries(bench.split.parts[0].test)
    prompts = [build(bench.task, query, Recipe(kind="short"), ()) for query in queries]
    replies = engine.with_adapter(folder, idle=True).reply(prompts, Limits(max_tokens=6))
    answers = [as_answer(*each) for each in zip(queries, prompts, replies, strict=True)]
    base = measure(bench, planned("zero_shot", bench), [Recipe(), Recipe()], False)
    return [*base, run_of(bench, "unit/adapter", answers)]


@pytest.fixture
def bench(engine, tmp_path):
    with bench_of(tmp_path, TASK, cases(96, LABELS), {"base": engine, "tune": engine}) as opened:
        yield opened


@pytest.mark.full
def test_an_adapter_that_changes_nothing_does_no_harm(bench, engine):
    runs = measured(bench, engine, 0.0)
    found, changed = measure_harm(bench, runs, "lora"), training_changes(bench, runs, "lora")
    assert found.general_n == 96
    assert (found.general.low, found.general.mean, found.general.high) == (0, 0, 0)
    assert (found.kl_on, found.kl_off) == (0, 0)
    assert (found.ece.low, found.ece.mean, found.ece.high) == (0, 0, 0)
    assert changed.ratio == 0
    assert {layer.ratio for layer in changed.layers} == {0.0}
    assert {layer.shift_on for layer in changed.layers} == {0.0}
    assert {layer.effective_rank for layer in changed.layers} == {None}
    assert changed.differ == 0
    assert all(one.before == one.after for one in changed.examples)
    state = with_general_drop([arm("lora", "tune")], [found], 0.05)[0].limits["general_drop"]
    assert state == "met"


@pytest.mark.full
def test_a_wrecked_adapter_breaks_the_limit(bench, engine):
    runs = measured(bench, engine, 0.02)
    mild = measure_harm(bench, runs, "lora")
    wrecked = measure_harm(bench, measured(bench, engine, 50 * 0.02), "lora")
    assert 0 < mild.kl_off < wrecked.kl_off
    assert wrecked.general.low > mild.general.high
    state = with_general_drop([arm("lora", "tune")], [wrecked], 0.05)[0].limits["general_drop"]
    assert state == "violated"


@pytest.mark.full
def test_changes_say_what_moved_and_show_the_same_prompt_twice(bench, engine):
    runs = measured(bench, engine, 0.3)
    found = training_changes(bench, runs, "lora")
    assert [layer.layer for layer in found.layers] == ["0", "1", "2"]
    assert all(0 < layer.effective_rank <= layer.rank == 4 for layer in found.layers)
    assert all(layer.shift_on > 0 < layer.shift_off for layer in found.layers)
    assert found.kl_on.low <= found.kl_on.mean <= found.kl_on.high
    assert found.n_off == 96
    assert found.n_on == 48
    assert found.asked == 12
    assert found.differ > 0
    assert len(found.examples) == 3
    own = {a.case: a.text for run in runs for a in run.answers if run.artefact}
    assert all(one.after == own[one.case] != one.before for one in found.examples)
    assert "temperatures" in found.missing
    told = for_verdict([found])
    assert told["arms"][0]["layers"][0]["layer"] == "0"
    assert for_verdict([]) is None


@pytest.mark.full
def test_every_figure_is_stored_and_read_back(bench, engine, monkeypatch):
    runs = measured(bench, engine, 0.1)
    first = measure_harm(bench, runs, "lora"), training_changes(bench, runs, "lora")
    for name in ("compare_models", "sample_passages", "representation_shifts", "weight_changes"):
        monkeypatch.setattr(f"tuneworthy.models.train.changes.{name}", None)  # it would crash
    assert (measure_harm(bench, runs, "lora"), training_changes(bench, runs, "lora")) == first


@pytest.mark.full
def test_well_known_facts_are_asked_again_where_they_were_asked(engine, tmp_path):
    facts = TASK.model_copy(update={"output": Output(type="text", max_tokens=6)})
    with bench_of(tmp_path, facts, cases(96, LABELS), {"base": engine, "tune": engine}) as bench:
        asked_again(bench, engine)


def asked_again(bench, engine):
    taught = set(bench.split.parts[0].train)
    free = [i for i in bench.learn_cases if i not in taught]
    known = KnowledgeProbe(of=dict.fromkeys(free[:14], "highly_known"), sets=5, answers=25)
    found = measure_harm(bench, measured(bench, engine, 1.0), "lora", known)
    assert found.known.mean == 1  # a random model knows none of them
    few = KnowledgeProbe(of=dict.fromkeys(sorted(taught)[:14], "highly_known"), sets=5, answers=25)
    again = measure_harm(bench, measured(bench, engine, 1.0), "lora", few)
    assert again.known is None
    assert "not among its training rows" in again.missing["known"]


@pytest.mark.full
def test_a_trained_arm_is_shaken_with_its_own_adapter_and_never_trained_again(
    bench, engine, monkeypatch
):
    options = {"epochs": 4, "rank": 8, "rate": 1e-2}
    runs = measure(bench, planned("lora", bench, **options), [Recipe(), Recipe()], False)
    assert {run.state for run in runs} == {"measured"}, runs[0].because
    monkeypatch.setattr("tuneworthy.models.train.lora.train", None)  # it would crash if it trained
    found = shaking.measure_robustness(bench, runs, ["lora"])
    curve = [one for one in found if one.how == "temperature"]
    assert len(curve) == 5
    cold = {a.case: s for run in runs for a, s in zip(run.answers, run.scores, strict=True)}
    own = [cold[a.case] for a in runs[0].answers]
    assert curve[0].n == len(own) == 48
    assert curve[0].score.mean == pytest.approx(np.mean([s.value for s in own]), abs=1e-6)
    assert curve[0].valid.k == sum(bool(s.valid) for s in own)
    assert isinstance(open_tuned(bench, runs[0]), tuned.TunedPair)
    assert (
        measure_harm(bench, runs, "lora").tail is None
    )  # no untrained prompt was measured beside it


@pytest.mark.full
def test_harm_changes_and_robustness_read_a_fully_tuned_model(bench, monkeypatch):
    base = measure(bench, planned("zero_shot", bench), [Recipe(), Recipe()], False)
    options = {"epochs": 3, "rate": 5e-3}
    runs = [*base, *measure(bench, planned("full", bench, **options), [Recipe(), Recipe()], False)]
    assert {run.state for run in runs} == {"measured"}, runs[-1].because
    assert runs[-1].artefact.endswith("/weights")
    assert len(runs[-1].fingerprint["tuned_from"]) == 64
    found, changed = measure_harm(bench, runs, "full"), training_changes(bench, runs, "full")
    assert found.general_n == 96
    assert found.kl_off > 0 < found.kl_on
    assert found.ece is not None
    assert [one.layer for one in changed.layers if one.layer.isdigit()] == ["0", "1", "2"]
    inside = [one for one in changed.layers if one.layer.isdigit()]
    assert all(1 < one.effective_rank <= one.rank for one in inside)
    assert all(one.rank > 16 and one.shift_on > 0 < one.shift_off for one in inside)
    assert {one.layer for one in changed.layers} >= {"model.embed_tokens.weight"}
    assert changed.ratio > 0
    monkeypatch.setattr("tuneworthy.models.train.lora.train", None)  # it would crash if it trained
    curve = [one for one in shaking.measure_robustness(bench, runs, ["full"])
             if one.how == "temperature"]  # fmt: skip
    assert len(curve) == 5
    first = runs[len(base)]
    assert curve[0].n == len(first.scores)
    assert curve[0].score.mean == pytest.approx(np.mean([s.value for s in first.scores]), abs=1e-6)
