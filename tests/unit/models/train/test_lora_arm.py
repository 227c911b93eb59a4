"""The arm `lora` on real engines: a tiny model from disk, and the embedded one if it is here."""

import json

import pytest

from tuneworthy.arms import _trained, lora
from tuneworthy.arms._prompted import mean_score, prompting_arm
from tuneworthy.records.answer import Score
from tuneworthy.records.arm import Recipe, Setup
from tuneworthy.records.case import Case, Message
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.task import Data, Output, Task

LABELS = ("billing", "delivery", "defect")
ROWS = [
    ("I was charged twice for my order", "billing"),
    ("The parcel never arrived", "delivery"),
    ("The screen is cracked", "defect"),
]
NAMES = "Ann Bob Carl Dora Eve Finn Gina Hugo Ida Jon Kim Leo Mia Ned Oda Pam".split()  # noqa: SIM905


def cases(count, start=0):
    found = []
    for number in range(start, start + count):
        text, label = ROWS[number % 3]
        name = NAMES[number // 3 % len(NAMES)]
        turn = Message(role="user", content=f"{name} writes: {text}. Order {number * 37 % 1000}.")
        found.append(Case(id=f"c{number}", messages=(turn,), output=label))
    return found


def exact(case, answer):
    return Score(value=float(answer.text.strip() == case.output))


def setup_of(model, folder, train, dev, **changes):
    task = Task(
        instruction="Name the topic of the message.",
        data=Data(file="rows.jsonl"),
        output=Output(type="label", labels=LABELS, max_tokens=8),
    )
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"train": train, "dev": dev, "score": exact, **changes}
    return Setup(task=task, models={"tune": model}, folder=folder, **parts)


def test_the_placebo_gives_every_row_the_answer_of_another():
    rows = [case.model_copy(update={"output": f"o{i}"}) for i, case in enumerate(cases(9))]
    dealt = _trained.training_rows(rows, lora.Options(shuffled=True), 3)
    assert [d.id for d in dealt] == [r.id for r in rows]
    assert sorted(d.output for d in dealt) == sorted(r.output for r in rows)
    assert all(d.output != r.output for d, r in zip(dealt, rows, strict=True))
    assert _trained.training_rows(rows, lora.Options(shuffled=True), 3) == dealt
    assert _trained.training_rows(rows, lora.Options(), 3) == rows
    drawn = _trained.training_rows(rows, lora.Options(rows=4), 3)
    assert len(drawn) == 4
    assert all(case in rows for case in drawn)
    assert drawn != _trained.training_rows(rows, lora.Options(rows=4), 4)
    assert lora.pilot(lora.Options()).rows == 100
    assert lora.placebo(lora.Options(rank=4)) == lora.Options(rank=4, shuffled=True)


@pytest.mark.full
def test_few_rows_make_smaller_steps():
    pytest.importorskip("torch")
    sizes = {500: 4, 600: 8, 2000: 16}
    assert all(
        _trained.training_settings(lora.Options(), n, 1e-3).pace.batch == size
        for n, size in sizes.items()
    )
    assert _trained.training_settings(lora.Options(batch=2), 600, 1e-3).pace.batch == 2


def test_a_model_that_cannot_be_trained_here_does_not_apply(tmp_path):
    class Remote:
        spec = "openai:large"

    with pytest.raises(DoesNotApply, match="openai:large cannot be trained here"):
        lora.fit(setup_of(Remote(), tmp_path, cases(6), []), lora.Options(), 0)


@pytest.mark.full
def test_the_arm_trains_answers_and_is_loaded_the_second_time(engine, tmp_path, monkeypatch):
    asked = []

    def score(case, answer):
        asked.append(case.id)
        return exact(case, answer)

    setup = setup_of(engine, tmp_path / "unit", cases(24), cases(6, 60), score=score)
    options = lora.Options(epochs=2, rank=4, rate=5e-3)
    fitted = lora.fit(setup, options, 0)
    queries = [case.query() for case in cases(5, 90)]
    answers = fitted.answer(queries)
    assert [a.case for a in answers] == [q.id for q in queries]
    assert all(a.tokens_out and a.prompt for a in answers)
    assert all("delivery" not in a.prompt[0].content for a in answers), "no list of labels"
    assert fitted.learned
    assert fitted.artefact == tmp_path / "unit" / "adapter"
    assert fitted.model.fingerprint["adapter"] != engine.fingerprint.get("adapter")
    assert asked == [c.id for c in cases(6, 60)] * 2  # dev alone, once an epoch
    assert len(fitted.trace["evaluations"]) == 2

    monkeypatch.setattr("tuneworthy.models.train.lora.train", None)  # it would crash if it trained
    again = lora.fit(setup, options, 0)
    assert again.trace == fitted.trace
    assert [a.text for a in again.answer(queries)] == [a.text for a in answers]


@pytest.mark.full
def test_n9_the_engine_answers_with_the_very_adapter_that_was_trained(engine, tmp_path):
    import torch

    from tuneworthy.models.train.twin import LoraShape, lora_twin, save_adapter

    peft = lora_twin(engine.module, LoraShape(rank=4, alpha=8), 0)
    with torch.no_grad():
        for name, weight in peft.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3, generator=torch.Generator().manual_seed(1))
    base = {"spec": engine.spec, "weights": engine.fingerprint["weights"]}
    save_adapter(peft, tmp_path / "a", {"base": base})
    ids, tuned = torch.tensor([[5, 9, 33, 70, 8]]), engine.with_adapter(tmp_path / "a")
    with torch.no_grad():
        plain = engine.module(input_ids=ids).logits
        with tuned.adapter.applied(engine.module):
            ours = engine.module(input_ids=ids).logits
        trained = peft(input_ids=ids).logits
        after = engine.module(input_ids=ids).logits
    assert torch.equal(ours, trained)
    assert torch.equal(plain, after)
    assert not torch.equal(ours, plain)


@pytest.mark.full
def test_the_placebo_learns_other_answers(engine, tmp_path):
    options = lora.Options(epochs=1, rank=4, rate=5e-3)
    told = []
    for name, chosen in (("real", options), ("placebo", lora.placebo(options))):
        setup = setup_of(engine, tmp_path / name, cases(24), [])
        told.append(lora.fit(setup, chosen, 0).trace["rows"])
    weights = [
        (tmp_path / name / "adapter" / "adapter_model.safetensors").read_bytes()
        for name in ("real", "placebo")
    ]
    assert told[0] == told[1]
    assert weights[0] != weights[1]


@pytest.mark.full
def test_rows_left_out_are_noted(engine, tmp_path):
    rows = cases(24)
    rows[3] = rows[3].model_copy(update={"output": " "})
    fitted = lora.fit(setup_of(engine, tmp_path / "u", rows, []), lora.Options(epochs=1), 0)
    assert fitted.notes == ("1 training rows left out: the answer is empty",)
    assert fitted.trace["rows"]["excluded"] == {"the answer is empty": ["c3"]}


@pytest.mark.full
def test_the_embedded_model_learns_a_small_task(tmp_path):
    from tuneworthy.models import open_model
    from tuneworthy.models.local.wheel import locate

    if locate() is None:
        pytest.skip("the embedded model is not on this machine")
    model = open_model("smollm2-135m", folder=tmp_path)
    setup = setup_of(model, tmp_path / "unit", cases(24), cases(3, 60))
    bare = prompting_arm(setup, Recipe(kind="short"), model=model)
    base = mean_score(setup, setup.dev, bare.answer([case.query() for case in setup.dev]))
    fitted = lora.fit(setup, lora.Options(epochs=2), 0)
    held = cases(9, 90)
    scores = [
        exact(c, a).value
        for c, a in zip(held, fitted.answer([c.query() for c in held]), strict=True)
    ]
    assert sum(scores) / len(scores) >= 0.9
    assert base < 0.9
    manifest = json.loads((fitted.artefact / "tuneworthy.json").read_text())
    assert manifest["base"]["weights"] == model.fingerprint["weights"]


@pytest.mark.full
def test_the_trace_names_the_dev_score_of_the_kept_epoch(engine, tmp_path):
    setup = setup_of(engine, tmp_path / "fit", cases(12), cases(6, start=12))
    trace = lora.fit(setup, lora.Options(epochs=2, rank=2), 0).trace
    seen = {told["epoch"]: told["dev_score"] for told in trace["evaluations"]}
    assert trace["dev"] == seen[trace["chosen"]]
    assert trace["dev"] is not None


@pytest.mark.full
def test_one_that_learns_from_a_part_of_the_rows_says_so(engine, tmp_path):
    setup = setup_of(engine, tmp_path / "u", cases(24), [])
    fitted = lora.fit(setup, lora.Options(epochs=1, rows=20), 0)
    assert fitted.notes == ("learnt from 20 of 24 rows",)


@pytest.mark.parametrize(
    ("scores", "rising"), [([0.3, 0.5], True), ([0.5, 0.51], False), ([0.5], False), ([], False)]
)
def test_a_run_that_ended_while_it_still_rose_says_so(scores, rising):
    told = [{"epoch": n + 1, "dev_score": score} for n, score in enumerate(scores)]
    trace = {"rows": {"excluded": {"too long": ["a"]}}, "evaluations": told}
    notes = _trained._notes(trace)
    assert notes[0] == "1 training rows left out: too long"
    assert any("still rose" in note for note in notes) is rising


def test_a_run_that_stopped_early_says_so_and_asks_for_no_more_epochs():
    told = [{"epoch": n + 1, "dev_score": score} for n, score in enumerate((0.3, 1.0))]
    trace = {"rows": {"excluded": {}}, "evaluations": told, "stopped_early": "the dev score is 1"}
    assert _trained._notes(trace) == ("training stopped after epoch 2: the dev score is 1",)
    assert "still rose" in _trained._notes({**trace, "stopped_early": None})[0]  # the control


@pytest.mark.full
def test_patience_reaches_training_and_is_off_by_default():
    pytest.importorskip("torch")
    assert _trained.training_settings(lora.Options(), 100, 1e-3).patience is None
    assert _trained.training_settings(lora.Options(patience=2), 100, 1e-3).patience == 2


def test_the_rate_of_the_model_is_trained_with_said_and_kept(engine, tmp_path, monkeypatch):
    from tuneworthy.models.train import schedule

    monkeypatch.setattr(schedule, "MOST_LORA_RATE", 2e-4)  # as of a larger model
    for options, rate, why in (
        (lora.Options(epochs=1), 2e-4, "hidden size 32"),
        (lora.Options(epochs=1, rate=5e-3), 5e-3, "set by the option"),
    ):
        said = []
        setup = setup_of(engine, tmp_path / str(rate), cases(12), cases(3, 12), say=said.append)
        told = lora.fit(setup, options, 0).trace
        assert max(step["rate"] for step in told["steps"]) == pytest.approx(rate, rel=0.02)
        assert told["rate"]["value"] == rate
        assert why in told["rate"]["why"]
        assert said[0] == f"learning rate {rate:g}: {told['rate']['why']}"
