"""The adapter: no change at first, saved exactly, bound to its base (N9, P5, P7, P18)."""

import json

import pytest

pytestmark = pytest.mark.full


def settings(**changes):
    from tuneworthy.models.train.loop import TrainingSchedule
    from tuneworthy.models.train.lora import LoraSettings

    pace = TrainingSchedule(epochs=3, batch=4, rate=5e-3)
    return LoraSettings(**{"rank": 4, "alpha": 8, "pace": pace, **changes})


def lessons(tiny, scores=(0.2, 0.9, 0.5), **changes):
    from tuneworthy.models.train.training_data import TrainingData

    given = iter(scores)
    parts = {
        "train": tiny.examples(16),
        "dev": tiny.examples(6, seed=9),
        "dev_score": lambda folder: next(given),
        **changes,
    }
    return TrainingData(**parts)


def fitted(tiny, folder, model=None, seed=0, **changes):
    from tuneworthy.models.train.lora import fit_lora

    model = model or tiny.stand(tiny.model("llama", 1), tiny.tokenizer())
    return model, fit_lora(model, lessons(tiny, **changes), settings(), seed, folder)


def logits(module, ids):
    import torch

    with torch.no_grad():
        return module(input_ids=torch.tensor([ids])).logits


def loaded(module, folder):
    from peft import PeftModel

    from tuneworthy.models.train.twin import twin

    return PeftModel.from_pretrained(twin(module), folder).eval()


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_n9_an_untrained_adapter_changes_no_bit(tiny, kind):
    import torch

    from tuneworthy.models.train.twin import lora_twin

    module, ids = tiny.model(kind, 1), tiny.rows(tiny.tokenizer(), 1)[0].ids
    peft = lora_twin(module, settings(), 0)
    assert torch.equal(logits(peft, ids), logits(module, ids))
    with torch.no_grad():  # the control: the smallest change of B is seen
        next(w for n, w in peft.named_parameters() if "lora_B" in n).add_(1e-3)
    assert not torch.equal(logits(peft, ids), logits(module, ids))


def test_n9_what_is_saved_is_what_was_trained(tiny, tmp_path):
    import torch

    from tuneworthy.models.train.twin import lora_twin, save_adapter

    module, ids = tiny.model("llama", 1), tiny.rows(tiny.tokenizer(), 1)[0].ids
    peft = lora_twin(module, settings(), 0)
    with torch.no_grad():
        for name, weight in peft.named_parameters():
            if "lora_B" in name:
                weight.normal_(generator=torch.Generator().manual_seed(1))
    save_adapter(peft, tmp_path / "a", {"base": {"spec": "hf:tiny"}})
    assert torch.equal(logits(loaded(module, tmp_path / "a"), ids), logits(peft, ids))

    config = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "hf:tiny"
    assert config["modules_to_save"] is None
    assert "lm_head" not in config["target_modules"]
    config["lora_alpha"] *= 2  # the control: another alpha / r gives other logits
    (tmp_path / "a" / "adapter_config.json").write_text(json.dumps(config))
    assert not torch.equal(logits(loaded(module, tmp_path / "a"), ids), logits(peft, ids))


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_n9_the_base_is_the_same_after_training(tiny, tmp_path, kind):
    import torch

    model = tiny.stand(tiny.model(kind, 1), tiny.tokenizer())

    def seen():
        module = model.module
        return (
            [(name, id(part), type(part)) for name, part in module.named_modules()],
            [(n, id(p), p.data_ptr(), p.requires_grad) for n, p in module.named_parameters()],
            module.training,
            sorted(vars(module)),
        )

    before, weights = seen(), {n: t.clone() for n, t in model.module.state_dict().items()}
    torch.manual_seed(5)
    state = torch.get_rng_state()
    fitted(tiny, tmp_path, model)
    assert seen() == before
    assert all(torch.equal(t, weights[n]) for n, t in model.module.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_same_seed_gives_the_same_bytes(tiny, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        fitted(tiny, tmp_path / name, seed=seed)
    files = ["adapter_model.safetensors", "adapter_config.json"]
    a, b, c = (
        [(tmp_path / n / "adapter" / f).read_bytes() for f in files] for n in ("a", "b", "c")
    )
    assert a == b
    assert a[0] != c[0]


@pytest.mark.parametrize(
    ("scores", "chosen"), [((0.2, 0.9, 0.5), 2), ((0.9, 0.1, 0.2), 1), ((0.5, 0.5, 0.5), None)]
)
def test_the_epoch_is_chosen_by_the_task_metric_then_by_dev_loss(tiny, tmp_path, scores, chosen):
    import torch
    from safetensors.torch import load_file

    kept = {}

    def score(folder):
        kept[len(kept) + 1] = load_file(folder / "adapter_model.safetensors")
        return scores[len(kept) - 1]

    _, done = fitted(tiny, tmp_path, dev_score=score)
    told = done.trace["evaluations"]
    if chosen is None:
        chosen = min(told, key=lambda e: e["dev_loss"])["epoch"]
    assert done.trace["chosen"] == chosen
    final = load_file(done.adapter / "adapter_model.safetensors")
    assert all(torch.equal(final[name], kept[chosen][name]) for name in final)
    other = kept[chosen % 3 + 1]
    assert not all(torch.equal(final[name], other[name]) for name in final)
    assert [e["dev_score"] for e in told] == list(scores)
    assert all(0 <= e["p_end"] <= 1 for e in told)


def test_dev_loss_alone_would_have_chosen_another_epoch(tiny, tmp_path):
    _, done = fitted(tiny, tmp_path, scores=(0.9, 0.1, 0.2))
    by_loss = min(done.trace["evaluations"], key=lambda e: e["dev_loss"])["epoch"]
    assert by_loss != done.trace["chosen"] == 1


def test_without_dev_rows_the_last_epoch_is_kept_and_no_score_is_made_up(tiny, tmp_path):
    _, done = fitted(tiny, tmp_path, dev=[])
    assert done.trace["chosen"] == 3
    assert done.trace["evaluations"][-1]["dev_score"] is None
    assert done.trace["evaluations"][-1]["dev_loss"] is None


def test_p7_rows_in_are_used_plus_excluded_by_reason(tiny, tmp_path):
    from dataclasses import replace

    from tuneworthy.records.errors import ModelError

    rows = tiny.examples(16)
    rows[2], rows[5] = replace(rows[2], answer=" "), replace(rows[5], answer="router " * 600)
    _, done = fitted(tiny, tmp_path / "a", train=rows)
    told = done.trace["rows"]
    assert told["excluded"] == {
        "the answer is empty": ["r2"],
        "longer than the model's context": ["r5"],
    }
    assert told["given"] == 16 == told["used"] + sum(map(len, told["excluded"].values()))
    assert done.trace["truncated"] == 0
    # no DataError, which would end the study: other arms may read these rows
    with pytest.raises(ModelError, match="no row can be trained on"):
        fitted(tiny, tmp_path / "b", train=[replace(row, answer="") for row in rows])
    assert not (tmp_path / "b" / "adapter").exists()


def test_two_rows_of_one_id_are_both_trained_on(tiny, tmp_path):
    from dataclasses import replace

    rows = [replace(row, id="same") for row in tiny.examples(16)]
    _, done = fitted(tiny, tmp_path, train=rows)
    assert done.trace["rows"]["used"] == 16


def test_a_whole_adapter_is_loaded_and_a_broken_one_is_trained_again(tiny, tmp_path):
    model, done = fitted(tiny, tmp_path)
    bytes_before = (done.adapter / "adapter_model.safetensors").read_bytes()

    def never(folder):
        raise AssertionError("trained again")

    _, again = fitted(tiny, tmp_path, model, dev_score=never)
    assert again == done
    with pytest.raises(AssertionError, match="trained again"):
        fitted(tiny, tmp_path / "other", model, dev_score=never)

    flipped = bytearray(bytes_before)
    flipped[-1] ^= 1
    (done.adapter / "adapter_model.safetensors").write_bytes(bytes(flipped))
    _, third = fitted(tiny, tmp_path, model)
    assert (third.adapter / "adapter_model.safetensors").read_bytes() == bytes_before
    assert not (tmp_path / "epochs").exists()


def test_a_run_that_stopped_halfway_starts_again_and_ends_the_same(tiny, tmp_path, monkeypatch):
    from tuneworthy.records.errors import TuneworthyError

    _, whole = fitted(tiny, tmp_path / "whole")
    for k, point in enumerate(["epoch.before", "epoch.after", "adapter.sync", "adapter.before"]):
        monkeypatch.setenv("TW_FAILPOINT", f"{point}:1:raise")
        folder = tmp_path / str(k)
        with pytest.raises(TuneworthyError, match="could not be written"):
            fitted(tiny, folder)
        monkeypatch.delenv("TW_FAILPOINT")
        assert not (folder / "adapter").exists()
        _, again = fitted(tiny, folder)
        name = "adapter_model.safetensors"
        assert (again.adapter / name).read_bytes() == (whole.adapter / name).read_bytes()


def test_an_adapter_that_training_asks_differently_is_refused(tiny, tmp_path):
    from tuneworthy.records.errors import ModelError

    model = tiny.stand(tiny.model("llama", 1), tiny.tokenizer())
    count = model.count_tokens
    model.count_tokens = lambda messages: count(messages) + 1  # an engine that doubles its BOS
    with pytest.raises(ModelError, match="render the same prompt differently"):
        fitted(tiny, tmp_path, model)


def test_p18_the_manifest_names_the_base_by_its_weights(tiny, tmp_path):
    model, done = fitted(tiny, tmp_path / "a")
    other = tiny.stand(tiny.model("llama", 2), model.tokenizer)
    _, more = fitted(tiny, tmp_path / "b", other)
    one, two = (json.loads((d.adapter / "tuneworthy.json").read_text()) for d in (done, more))
    assert len(one["base"]["weights"]) == 64
    assert one["base"]["weights"] != two["base"]["weights"]
    assert set(one["files"]) == {"adapter_model.safetensors", "adapter_config.json", "trace.json"}


def test_the_update_ratio_is_that_of_the_full_matrices(tiny, tmp_path):
    import torch

    from tuneworthy.models.train.figures import update_ratio

    model, done = fitted(tiny, tmp_path)
    peft = loaded(model.module, done.adapter)
    ratios = update_ratio(peft)
    whole = {name: weight.clone() for name, weight in model.module.state_dict().items()}
    merged = peft.merge_and_unload().state_dict()  # writes into the shared weights
    for layer in range(3):
        change = weight = 0.0
        for name, base in whole.items():
            if f"layers.{layer}." in name and "proj" in name and name.endswith("weight"):
                change += float((merged[name].double() - base.double()).square().sum())
                weight += float(base.double().square().sum())
        assert ratios[str(layer)] == pytest.approx((change / weight) ** 0.5, rel=1e-4)
    assert ratios == done.trace["evaluations"][done.trace["chosen"] - 1]["update_ratio"]
    assert torch.tensor(list(ratios.values())).min() > 0


def test_the_trace_is_json_and_says_what_was_measured(tiny, tmp_path):
    _, done = fitted(tiny, tmp_path)
    trace = json.loads(json.dumps(done.trace, allow_nan=False))
    assert 0 < trace["mask_share"] < 1
    assert trace["seconds"] > 0
    assert trace["tokens_per_second"] > 0
    assert len(trace["loss_by_row"]["epochs"]) == 3
    assert len(trace["loss_by_row"]["ids"]) == 16
    assert trace["shared_prompt"] is True
    first, last = trace["steps"][0]["loss"], trace["steps"][-1]["loss"]
    assert last < first


@pytest.mark.parametrize(
    ("scores", "patience", "epochs", "why"),
    [
        ((0.5, 0.4, 0.6, 0.55, 0.5, 0.9), None, 6, None),
        ((0.5, 0.4, 0.6, 0.55, 0.5, 0.9), 1, 2, "the dev score has not risen since epoch 1"),
        ((0.5, 0.4, 0.6, 0.55, 0.5, 0.9), 2, 5, "the dev score has not risen since epoch 3"),
        ((0.5, 0.4, 0.6, 0.55, 0.5, 0.5), 3, 6, None),  # tired in the last epoch: nothing is saved
        ((0.5, 1.0, 0.6, 0.55, 0.5, 0.9), 5, 2, "the dev score is 1"),
        ((0.5, 1.0, 0.6, 0.55, 0.5, 0.9), None, 6, None),
    ],
)
def test_training_stops_early_only_if_asked_and_takes_the_same_steps_until_then(
    tiny, tmp_path, scores, patience, epochs, why
):
    from tuneworthy.models.train.loop import TrainingSchedule
    from tuneworthy.models.train.lora import fit_lora

    model = tiny.stand(tiny.model("llama", 1, num_hidden_layers=1), tiny.tokenizer())
    pace = TrainingSchedule(epochs=6, batch=8, rate=5e-3)

    def fit(folder, patience):
        told = settings(pace=pace, patience=patience)
        return fit_lora(model, lessons(tiny, scores), told, 0, folder).trace

    trace, whole = fit(tmp_path / "a", patience), fit(tmp_path / "b", None)
    assert trace["stopped_early"] == why
    assert len(trace["evaluations"]) == len(trace["loss_by_row"]["epochs"]) == epochs
    assert trace["steps"] == whole["steps"][: 2 * epochs]  # the same rates: the plan is unchanged
    assert trace["chosen"] == 1 + scores.index(max(scores[:epochs]))
    assert whole["stopped_early"] is None


def test_a_run_without_dev_rows_is_never_stopped_early(tiny, tmp_path):
    from tuneworthy.models.train.lora import fit_lora

    model = tiny.stand(tiny.model("llama", 1, num_hidden_layers=1), tiny.tokenizer())
    trace = fit_lora(model, lessons(tiny, dev=[]), settings(patience=1), 0, tmp_path).trace
    assert len(trace["evaluations"]) == 3


def test_a_finished_run_gives_its_memory_back(tiny, tmp_path, monkeypatch):
    import gc

    from peft import PeftModel

    def left():
        return sum(issubclass(type(one), PeftModel) for one in gc.get_objects())

    gc.collect()
    before = left()
    gc.disable()
    try:
        monkeypatch.setattr("tuneworthy.models.train.lora.gc.collect", lambda: 0)
        fitted(tiny, tmp_path / "kept")
        assert left() > before, "modules refer to themselves: nothing frees them"
        monkeypatch.undo()
        fitted(tiny, tmp_path / "a")
        assert left() == before
    finally:
        gc.enable()
