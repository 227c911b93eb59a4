"""encoder and setfit: a tuned text encoder with a head, on tiny random encoders."""

import shutil
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from arms_kit import label_cases, queries, setup
from tests.tiny import tiny_bert

from tuneworthy.arms import encoder, setfit
from tuneworthy.arms._pack import open_pack
from tuneworthy.models import _roles
from tuneworthy.models.encoder.text_encoder import LABELS_FILE, TextEncoder, TunedEncoder
from tuneworthy.records.arm import Sizes
from tuneworthy.records.errors import (
    DoesNotApply,
    ModelError,
    NumericError,
    SecurityError,
)
from tuneworthy.records.run import Spec
from tuneworthy.records.specs import (
    diagnosis_runs,
    needs_of_arm,
    trains,
    tunes_encoder,
    unmet_needs,
    uses_vectors,
)

ARMS = [
    encoder,
    pytest.param(
        setfit,
        marks=pytest.mark.skipif(
            find_spec("setfit") is None, reason="pip install 'tuneworthy[setfit]'"
        ),
    ),
]
FEW = {encoder: {"epochs": 4, "rate": 1e-3}, setfit: {"steps": 12, "rate": 1e-3}}


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("bert") / "model")


def never(prompt, limits):
    raise AssertionError("no language model is asked")


def made(folder, **more):
    parts = setup(never, folder, **more)
    return replace(parts, task=parts.task.at(folder))


def fit(arm, bert, folder, seed=0, options=None, **more):
    chosen = {"model": f"hf:{bert}", **FEW[arm], **(options or {})}
    return arm.fit(made(folder, **more), arm.Options(**chosen), seed)


def accuracy(fitted, cases):
    answers = fitted.answer([case.query() for case in cases])
    return sum(a.text == c.output for a, c in zip(answers, cases, strict=True)) / len(cases)


def two_labels(n):
    return [case for case in label_cases(n) if case.output in ("refund", "delivery")]


@pytest.mark.parametrize("arm", ARMS)
def test_it_learns_two_classes_and_its_placebo_does_not(arm, bert, tmp_path):
    rows = two_labels(200)
    train, test = rows[:60], rows[60:120]
    right = accuracy(fit(arm, bert, tmp_path, train=train), test)
    options = arm.placebo(arm.Options(model=f"hf:{bert}", **FEW[arm])).plain()
    placebo = fit(arm, bert, tmp_path, options=options, train=train)
    assert right > 0.9
    assert accuracy(placebo, test) < right - 0.2


@pytest.mark.parametrize("arm", ARMS)
def test_all_probabilities_come_back_and_one_seed_gives_one_result(arm, bert, tmp_path):
    fitted, again = (fit(arm, bert, tmp_path) for _ in range(2))
    answers = fitted.answer(queries())
    assert [a.case for a in answers] == [q.id for q in queries()]
    for answer in answers:
        assert sum(answer.labels.values()) == pytest.approx(1, abs=1e-5)
        assert answer.text == max(answer.labels, key=answer.labels.get)
    assert [a.labels for a in again.answer(queries())] == [a.labels for a in answers]
    assert fitted.answer([]) == []
    assert fitted.learned
    losses = [step["loss"] for step in fitted.trace["steps"]]
    assert losses
    assert np.isfinite(losses).all()


def test_another_seed_reads_the_rows_in_another_order(bert, tmp_path):
    one, two = (fit(encoder, bert, tmp_path, seed=seed).answer(queries()) for seed in (0, 1))
    assert [a.labels for a in one] != [a.labels for a in two]


@pytest.mark.parametrize("arm", ARMS)
def test_its_folder_answers_as_it_did(arm, bert, tmp_path):
    fitted = fit(arm, bert, tmp_path)
    fitted.classifier.save(tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"model.safetensors", "tokenizer.json", "head.safetensors", "head.json"} <= names
    opened = TunedEncoder.load(tmp_path / "out")
    assert opened.tuned_from == f"hf:{bert}"
    answer = open_pack(made(tmp_path), fitted.pack, opened).answer
    said, there = ([a.labels for a in f(queries())] for f in (fitted.answer, answer))
    assert said == there


@pytest.mark.parametrize("arm", ARMS)
def test_one_label_is_nothing_to_classify(arm, bert, tmp_path):
    rows = [case for case in label_cases() if case.output == "refund"]
    with pytest.raises(DoesNotApply, match="single label"):
        fit(arm, bert, tmp_path, train=rows)


def test_a_label_that_no_training_row_has_is_never_said(bert, tmp_path):
    seen = fit(encoder, bert, tmp_path, train=two_labels(60)[:20]).answer(queries())
    assert {label for answer in seen for label in answer.labels} == {"refund", "delivery"}


def test_two_thousand_labels_end(bert, tmp_path):
    row = label_cases()[0]
    many = [row.model_copy(update={"id": f"c{n}", "output": f"label {n:04}"}) for n in range(2000)]
    fitted = fit(encoder, bert, tmp_path, train=many, options={"epochs": 1, "batch": 500})
    assert len(fitted.answer(queries()[:1])[0].labels) == 2000


def test_inputs_that_are_cut_are_told(bert, tmp_path):
    rows = label_cases()[:18]
    fitted = fit(encoder, bert, tmp_path, train=rows, options={"tokens": 8})
    cut = sum(len(row.input.split()) > 6 for row in rows)
    assert cut
    assert fitted.notes == (f"{cut} training inputs are longer than the 8 tokens it reads",)
    assert fit(encoder, bert, tmp_path, train=rows).notes == ()
    assert TextEncoder.read(bert, 5000).most == 64, "it has no more positions"


def test_a_loss_that_is_no_number_ends_the_training(bert, tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", lambda x, y: x.sum() * float("nan"))
    with pytest.raises(NumericError, match=r"epoch 1, step 1 of"):
        fit(encoder, bert, tmp_path)


def test_p16_a_stop_is_heard_between_two_steps(bert, tmp_path, monkeypatch):
    import torch

    from tuneworthy.store import signals

    real, steps = torch.nn.functional.cross_entropy, []

    def stops(*given, **more):
        steps.append(0)
        monkeypatch.setattr(signals, "_stop_signal", 130)
        return real(*given, **more)

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", stops)
    with pytest.raises(signals.StopRequested):
        fit(encoder, bert, tmp_path)
    assert len(steps) == 1


def test_an_encoder_that_is_none_is_refused(bert, tmp_path):
    with pytest.raises(ValueError, match="pattern"):
        encoder.Options(model="openai:x")
    with pytest.raises(ModelError, match="no such model folder"):
        fit(encoder, tmp_path / "absent", tmp_path)
    shutil.copytree(bert, tmp_path / "pickled")
    (tmp_path / "pickled" / "model.safetensors").rename(tmp_path / "pickled" / "model.bin")
    with pytest.raises(SecurityError, match="pickle"):
        fit(encoder, tmp_path / "pickled", tmp_path)


@pytest.mark.parametrize("lost", ["embeddings.word_embeddings.weight", "nan"])
def test_weights_that_are_missing_or_no_numbers_are_refused(lost, bert, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(bert, tmp_path / "broken")
    file = tmp_path / "broken" / "model.safetensors"
    tensors = load_file(file)
    if tensors.pop(lost, None) is None:
        tensors["embeddings.word_embeddings.weight"][0, 0] = float("nan")
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(NumericError if lost == "nan" else ModelError):
        fit(encoder, tmp_path / "broken", tmp_path)


def test_a_head_that_is_damaged_is_refused_by_its_name(bert, tmp_path):
    tuned = fit(encoder, bert, tmp_path).classifier
    tuned.save(tmp_path / "out")
    (tmp_path / "out" / LABELS_FILE).write_text('{"labels": ["a"], "tokens": 9, "from": "x"}')
    with pytest.raises(ModelError, match="not those of 1 labels"):
        TunedEncoder.load(tmp_path / "out")
    tuned.weight[0, 0] = np.nan
    tuned.save(tmp_path / "nan")
    with pytest.raises(ModelError, match="not finite"):
        TunedEncoder.load(tmp_path / "nan")
    (tmp_path / "nan" / LABELS_FILE).write_text("[]")
    with pytest.raises(ModelError, match=LABELS_FILE):
        TunedEncoder.load(tmp_path / "nan")


def test_they_are_no_adapters_of_the_language_model(monkeypatch):
    own, hub, pairs = (
        Spec(name=arm, arm=arm, options=options, tool="classifier", simplicity=30)
        for arm, options in (("encoder", {}), ("encoder", {"model": "hf:a/b"}), ("setfit", {}))
    )
    for spec in (own, hub, pairs):
        assert tunes_encoder(spec)
        assert not trains(spec)
        assert diagnosis_runs(spec, 400) == [], "it repairs nothing"
    assert uses_vectors(own)
    assert not uses_vectors(hub), "it needs no MiniLM"
    assert needs_of_arm(pairs) == {"labels", "encoder", "vectors", "setfit"}
    monkeypatch.setattr(_roles, "find_spec", lambda name: None if name == "setfit" else name)
    why = unmet_needs(pairs, {"setfit": _roles.missing_packages("setfit")})
    assert list(map(str, why)) == ["needs setfit: pip install 'tuneworthy[setfit]'"]


@pytest.mark.skipif(find_spec("setfit") is not None, reason="the extra is here")
def test_without_its_library_setfit_names_the_command(tmp_path):
    with pytest.raises(DoesNotApply, match=r"pip install 'tuneworthy\[setfit\]'"):
        setfit.fit(made(tmp_path), setfit.Options(), 0)


def test_without_minilm_the_command_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path))
    with pytest.raises(DoesNotApply, match="models get minilm"):
        encoder.fit(made(tmp_path), encoder.Options(), 0)


def test_its_cost_grows_with_the_rows_the_epochs_and_the_steps():
    sizes = Sizes(cases=10, train=200, dev=0, shared=5, own=20, shot=9, answer=5, cap=8, labels=6)
    one, two = (encoder.estimate(sizes, encoder.Options(epochs=n)) for n in (1, 2))
    assert two.trained == 2 * one.trained == 2 * 200 * 20
    assert one.encoded == 210 * 20
    assert one.requests == 0
    pairs = setfit.estimate(sizes, setfit.Options(steps=10, batch=4))
    assert pairs.trained == 2 * 10 * 4 * 20
    assert "setfit" in setfit.here(setfit.Options())
