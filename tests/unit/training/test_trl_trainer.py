"""`trainer: trl`: the ids, masks, batches and rates of our loop; the same adapter comes back."""

import json
from dataclasses import replace

import pytest

from tuneworthy.training.batches import order
from tuneworthy.training.render import EncodedExample

pytestmark = pytest.mark.full  # importing the trainer takes seconds


def pace_of(**changes):
    from tuneworthy.training.loop import TrainingSchedule

    return TrainingSchedule(
        **{"epochs": 2, "batch": 4, "rate": 5e-3, "part_tokens": 120, **changes}
    )


def row(ids, first):
    return EncodedExample(tuple(ids), (False,) * first + (True,) * (len(ids) - first))


def test_labels_are_our_ids_where_our_mask_is_set():
    pytest.importorskip("torch")
    from tuneworthy.training.trl_loop import IGNORED, labelled

    (made,) = labelled([row([5, 6, 7, 8], 2)])
    assert made == {"input_ids": [5, 6, 7, 8], "labels": [IGNORED, IGNORED, 7, 8]}
    with pytest.raises(ValueError, match="labels have no weights"):
        labelled([replace(row([5, 6], 1), prompt_weight=0.1)])


def test_the_order_is_that_of_our_loop_in_every_epoch():
    pytest.importorskip("torch")
    from tuneworthy.training.trl_loop import EpochOrder

    sampler = EpochOrder(11, 7)
    assert [list(sampler) for _ in range(3)] == [order(11, 7, epoch) for epoch in range(3)]
    assert len(sampler) == 11


def test_rows_at_once_divide_the_batch_and_keep_within_the_tokens():
    pytest.importorskip("torch")
    from tuneworthy.training.trl_loop import rows_at_once

    rows = [row(range(30), 10), row(range(12), 4)]
    assert rows_at_once(rows, pace_of(batch=6, part_tokens=100)) == 3
    assert rows_at_once(rows, pace_of(batch=6, part_tokens=29)) == 1
    assert rows_at_once(rows, pace_of(batch=5, part_tokens=149)) == 1
    assert rows_at_once(rows, pace_of(batch=5, part_tokens=150)) == 5


def test_what_its_collator_hands_the_model_are_our_batches(tiny, tmp_path):
    pytest.importorskip("trl")
    from tuneworthy.training.trl_loop import IGNORED, TrlLoop, trl_trainer

    tokenizer = tiny.tokenizer()
    rows = tiny.rows(tokenizer, 11)  # the last step of an epoch has three rows
    pace = pace_of(part_tokens=10_000)
    net = type("Net", (), {"module": tiny.model("llama")})
    trainer = trl_trainer(net, rows, (pace, 3, str(tmp_path)), tokenizer, (None, None))
    read = trainer.get_train_dataloader()
    for epoch in range(2):
        turn, batches = order(len(rows), 3, epoch), list(read)
        assert [len(batch["input_ids"]) for batch in batches] == [4, 4, 3]
        given = [
            (
                ids[: mask.sum()].tolist(),
                labels[: mask.sum()].tolist(),
                labels[mask.sum() :].tolist(),
            )
            for batch in batches
            for ids, mask, labels in zip(
                batch["input_ids"], batch["attention_mask"], batch["labels"], strict=True
            )
        ]
        for (ids, labels, padding), index in zip(given, turn, strict=True):
            ours = rows[index]
            assert ids == list(ours.ids)
            assert [label != IGNORED for label in labels] == list(ours.mask)
            assert [label for label in labels if label != IGNORED] == list(ours.ids[ours.first :])
            assert set(padding) <= {IGNORED}
    assert TrlLoop(tokenizer).name == "trl"


def test_its_steps_are_those_of_our_loop(tiny):
    pytest.importorskip("trl")
    from tuneworthy.training.loop import train
    from tuneworthy.training.loss import open_net
    from tuneworthy.training.trl_loop import TrlLoop
    from tuneworthy.training.twin import LoraShape, lora_twin

    tokenizer = tiny.tokenizer()
    rows, told = tiny.rows(tokenizer, 11), []
    for loop in (train, TrlLoop(tokenizer)):
        module = lora_twin(tiny.model("llama", 1), LoraShape(rank=4, alpha=8), 0).base_model.model
        net, after = open_net(module, rows[0].ids, True), []
        told.append(loop(net, rows, pace_of(epochs=3), 3, after.append))
        assert after == [1, 2, 3]
    ours, theirs = told
    assert len(theirs["steps"]) == len(ours["steps"]) == 9
    for one, other in zip(ours["steps"], theirs["steps"], strict=True):
        assert other == pytest.approx(one, rel=1e-4)
    for one, other in zip(ours["by_row"], theirs["by_row"], strict=True):
        assert other == pytest.approx(one, rel=1e-4)
    assert theirs["first"] == ours["first"]
    assert theirs["seconds"] > 0


def test_it_stops_when_an_epoch_says_so(tiny):
    pytest.importorskip("trl")
    from tuneworthy.training.loss import open_net
    from tuneworthy.training.trl_loop import TrlLoop
    from tuneworthy.training.twin import LoraShape, lora_twin

    tokenizer = tiny.tokenizer()
    rows = tiny.rows(tokenizer, 8)
    module = lora_twin(tiny.model("llama", 1), LoraShape(rank=4, alpha=8), 0).base_model.model
    told = TrlLoop(tokenizer)(
        open_net(module, rows[0].ids, True), rows, pace_of(epochs=5), 3, lambda epoch: epoch < 2
    )
    assert [step["epoch"] for step in told["steps"]] == [1, 1, 2, 2]


def test_the_same_adapter_comes_back_to_the_arm(tiny, engine, tmp_path):
    pytest.importorskip("trl")
    from safetensors.torch import load_file

    from tuneworthy.training.lora import LoraSettings, fit_lora
    from tuneworthy.training.training_data import TrainingData
    from tuneworthy.training.trl_loop import TrlLoop

    lessons = TrainingData(train=tiny.examples(12), dev=tiny.examples(4, seed=9), dev_score=None)
    settings = LoraSettings(rank=4, alpha=8, pace=pace_of(epochs=3))
    before = engine.tokenizer.pad_token
    done = [
        fit_lora(engine, lessons, settings, 0, tmp_path / name, other)
        for name, other in (("own", None), ("trl", TrlLoop(engine.tokenizer)))
    ]
    assert engine.tokenizer.pad_token == before
    own, trl = (load_file(one.adapter / "adapter_model.safetensors") for one in done)
    assert own.keys() == trl.keys()
    for name, value in own.items():
        assert float((trl[name] - value).norm()) <= 1e-3 * float(value.norm()) + 1e-6, name
    assert done[1].trace["gradient"] == "trl"
    assert done[1].trace["rows"] == done[0].trace["rows"]
    assert done[1].trace["chosen"] == done[0].trace["chosen"]
    told = json.loads((done[1].adapter / "tuneworthy.json").read_text())
    assert told["trainer"] == "trl"
    prompts = [example.messages for example in tiny.examples(3, seed=5)]
    texts = [
        [r.text for r in engine.with_adapter(one.adapter).reply(prompts, limits())] for one in done
    ]
    assert texts[0] == texts[1]


def limits():
    from tuneworthy.core.model import Limits

    return Limits(max_tokens=8)
