"""P9, N9, N18: a tuned arm in every form, asked again where it will run; what differs fails."""

import json
import shutil
from pathlib import Path

import pytest
from tests import studies
from tests.tiny import tiny_llama

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from tuneworthy.flows import study  # noqa: E402
from tuneworthy.handover.artefact_folder import MANIFEST_FILE  # noqa: E402
from tuneworthy.handover.building import BuildOptions, build  # noqa: E402
from tuneworthy.handover.forms import _asked_again, _modelfile, gguf, merged  # noqa: E402
from tuneworthy.handover.system import open_artefact  # noqa: E402
from tuneworthy.models.hf import load  # noqa: E402
from tuneworthy.models.train import gguf_file, merge  # noqa: E402
from tuneworthy.records.case import Message, Query  # noqa: E402
from tuneworthy.records.errors import ModelError, StoreError  # noqa: E402
from tuneworthy.records.run import RunOptions  # noqa: E402
from tuneworthy.store import signals  # noqa: E402

pytestmark = pytest.mark.full
LORA = {"lora": {"epochs": 2, "rank": 4, "rate": 1e-2}}
NAME = "lora(epochs=2, rank=4, rate=0.01)"
ASKED = [Query(id=f"q{n}", messages=(Message(role="user", content=row["input"]),))
         for n, row in enumerate(studies.rows(8, seed=5))]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("TUNEWORTHY_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned")
    path = studies.write(
        folder, 48, model="hf:./model", arms=["majority", LORA], seeds=2, precision="float32",
        instruction="Which kind of message is it?", data={"file": "rows.jsonl", "folds": 2},
        present=None, budget={"minutes": 60, "stages": False},
        output={"type": "label", "labels": list(studies.LABELS), "max_tokens": 8},
    )  # fmt: skip
    tiny_llama(folder / "model")
    study.run(path, RunOptions(brief=True))
    return path


@pytest.fixture(scope="module")
def built(task):
    return build(task, options=BuildOptions(arm=NAME))


@pytest.fixture
def folder(built):
    return Path(built.folder)


def test_every_form_is_the_evaluated_model(built):
    names = [one.form for one in built.parity]
    assert names == ["artefact", "gguf f16", "gguf q8_0", "merged", "peft"]
    for one in built.parity:
        assert not one.failed
        assert not one.because or "xllamacpp" in one.because
    exact = {one.form: one.distance for one in built.parity if one.form in ("merged", "peft")}
    for distance in exact.values():
        assert distance.exported <= distance.limit
        assert distance.base > 10 * distance.limit, "the adapter is applied"
    assert exact["peft"].bare <= exact["peft"].limit, "without it, it is the base"
    assert exact["merged"].bare is None
    assert not built.refused
    assert len(built.seeds) == 2


def test_the_artefact_answers_as_the_tuned_model(built, folder, task):
    system = open_artefact(folder, task.parent)
    base = load(task.parent / "model", "hf:./model", "float32")
    tuned = base.with_adapter(folder / "peft")
    replies = [[r.text for r in model.reply(system.prompts(ASKED), system.limits)]
               for model in (tuned, base)]  # fmt: skip
    assert [answer.text for answer in system.answer(ASKED)] == replies[0] != replies[1]
    shared = open_artefact(folder, task.parent, base)
    assert [answer.text for answer in shared.answer(ASKED)] == replies[0]
    assert shared.model.module is base.module, "versions share the base's weights"


def test_n9_merged_weights_are_base_plus_delta(folder, task):
    """Computed here anew, in double precision, from the files that others read."""
    from safetensors.torch import load_file

    base = load_file(task.parent / "model" / "model.safetensors")
    adapter = load_file(folder / "peft" / "adapter_model.safetensors")
    made = load_file(folder / "merged" / "model.safetensors")
    assert base.keys() == made.keys()
    changed = 0
    for name, weight in base.items():
        key = f"base_model.model.{name.removesuffix('.weight')}.lora_A.weight"
        if key not in adapter:
            assert torch.equal(weight, made[name])
            continue
        first, second = adapter[key].double(), adapter[key.replace("_A.", "_B.")].double()
        whole = weight.double() + 8.0 * second @ first  # alpha 32 over rank 4
        assert torch.allclose(made[name].double(), whole, atol=1e-6)
        assert not torch.allclose(made[name].double(), weight.double(), atol=1e-4)
        changed += 1
    assert changed == 21


def test_plain_peft_and_transformers_load_the_folders(folder, task, monkeypatch):
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoModelForCausalLM

    monkeypatch.chdir(task.parent)  # where the task's name of the base, ./model, is found
    ids = torch.tensor([[5, 9, 33, 7]])
    with torch.inference_mode():
        one = AutoPeftModelForCausalLM.from_pretrained(folder / "peft")(ids).logits
        two = AutoModelForCausalLM.from_pretrained(folder / "merged")(ids).logits
    assert torch.allclose(one, two, atol=1e-4)


def test_a_build_again_trains_and_asks_nothing(task, built, monkeypatch):
    monkeypatch.setattr("tuneworthy.models.train.lora.train", None)
    monkeypatch.setattr(_asked_again, "compare_form", None)  # each would crash
    again = build(task, options=BuildOptions(arm=NAME))
    assert again.artefact == built.artefact
    assert again.parity == built.parity


@pytest.mark.parametrize("point", ["artefact.sync", "artefact.before", "artefact.swap"])
def test_a_build_that_is_stopped_leaves_the_former_one(task, built, folder, monkeypatch, point):
    def stop(name):
        if name == point:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tuneworthy.handover.artefact_folder.failpoint", stop)
        with pytest.raises(KeyboardInterrupt):
            build(task, options=BuildOptions(arm=NAME, forms=("peft",)))
    assert open_artefact(folder.parent, task.parent).artefact.forms == built.artefact.forms
    build(task, options=BuildOptions(arm=NAME))
    assert open_artefact(folder, task.parent).artefact == built.artefact
    assert not list(folder.parent.glob(".old*"))


def test_a_form_that_does_not_fit_is_not_measured(task, built, tmp_path, monkeypatch):
    from tuneworthy.models.local import exported
    from tuneworthy.records.errors import DoesNotFit

    def full(*given):
        raise DoesNotFit("a model needs more memory than is free")

    monkeypatch.setattr(exported, "check_memory", full)
    monkeypatch.setattr(_asked_again, "ASKED_CASES", 41)  # else the stored comparison is read
    report = build(task, options=BuildOptions(arm=NAME, forms=("merged",), out=tmp_path))
    told = {one.form: one for one in report.parity}
    assert "more memory than is free" in told["merged"].because
    assert told["merged"].asked == 0
    assert not report.refused


# What is not the evaluated model fails.


def refused(task, out, form):
    report = build(task, options=BuildOptions(arm=NAME, forms=(form,), out=out))
    assert report.refused
    assert not report.folder
    assert not list(out.rglob(MANIFEST_FILE))
    assert list(out.glob("*-refused"))
    return "; ".join(why for one in report.parity if one.form == form for why in one.failed)


def test_a_merge_with_the_wrong_scale_is_refused(task, built, tmp_path, monkeypatch):
    real = merge.adapter_matrices

    def doubled(adapter, changes):
        return {name: (a, b, 2 * scale) for name, (a, b, scale) in real(adapter, changes).items()}

    monkeypatch.setattr(merge, "adapter_matrices", doubled)
    assert "nats a token from the evaluated" in refused(task, tmp_path / "out", "merged")


def test_an_adapter_that_is_not_applied_is_refused(task, built, tmp_path, monkeypatch):
    from tuneworthy.models.local import exported

    real = exported.PlainEngine.__init__

    def bare(self, folder, adapter=None, precision="auto"):
        real(self, folder, None, precision)

    monkeypatch.setattr(exported.PlainEngine, "__init__", bare)
    monkeypatch.setattr(_asked_again, "ASKED_CASES", 40)  # else the stored comparison is read
    said = refused(task, tmp_path / "out", "peft")
    assert "the adapter is not applied" in said
    assert "its score" in said or "nats a token" in said


def test_another_template_is_refused(task, built, tmp_path, monkeypatch):
    """P9: a second first token in each prompt, the commonest fault of an exported template."""
    real = merged.write

    def twice(parts, draft):
        notes = real(parts, draft)
        path = draft / "merged" / "chat_template.jinja"
        path.write_text("<|im_start|>" + path.read_text())
        return notes

    monkeypatch.setattr(merged, "write", twice)
    assert "prompts have other tokens" in refused(task, tmp_path / "out", "merged")


def test_the_command_ends_with_4_and_shows_where(task, built, tmp_path, monkeypatch, capsys):
    from tuneworthy.cli._frame import run

    real = merge.adapter_matrices
    monkeypatch.setattr(merge, "adapter_matrices", lambda adapter, changes: {
        name: (a, b, -scale) for name, (a, b, scale) in real(adapter, changes).items()
    })  # fmt: skip
    words = ["build", str(task), "--arm", NAME, "--form", "merged", "--out", str(tmp_path / "o")]
    assert run(words) == 4
    assert "FAILED" in capsys.readouterr().out
    assert run([*words, "--json"]) == 4
    told = json.loads(capsys.readouterr().out)
    assert told["refused"]
    assert "pack" not in told["artefact"], "no row of the user's is printed"


def test_a_tensor_that_changed_on_the_way_is_found(task, built, folder, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder / "merged", tmp_path / "m")
    base = load(task.parent / "model", "hf:./model", "float32")
    changes = base.with_adapter(folder / "peft").adapter.changes
    whole = (task.parent / "model", folder / "peft", changes, tmp_path / "m")
    merge.check_merged(*whole)
    tensors = load_file(tmp_path / "m" / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    tensors[name][3, 3] = torch.nextafter(tensors[name][3, 3], torch.tensor(9.0))
    save_file(tensors, tmp_path / "m" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="not base \\+ delta"):
        merge.check_merged(*whole)


def test_another_base_is_refused(folder, task, tmp_path):
    shutil.copytree(task.parent / "model", tmp_path / "model")
    open_artefact(folder, tmp_path)
    shutil.rmtree(tmp_path / "model")
    tiny_llama(tmp_path / "model", seed=1)
    with pytest.raises(ModelError, match="not the model that was evaluated"):
        open_artefact(folder, tmp_path)


def test_an_adapter_of_another_base_is_refused(folder, task, tmp_path):
    tiny_llama(tmp_path / "model", seed=1)
    other = load(tmp_path / "model", "hf:./model", "float32")
    with pytest.raises(ModelError, match="another base"):
        other.with_adapter(folder / "peft")


def test_a_full_disk_is_told_and_loses_nothing(task, built, folder, tmp_path, monkeypatch):
    def full(*given, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tuneworthy.handover.forms.peft.shutil.copyfile", full)
    with pytest.raises(StoreError, match="disk is full"):
        build(task, options=BuildOptions(arm=NAME, out=tmp_path / "out"))
    assert not list((tmp_path / "out").rglob(MANIFEST_FILE))
    assert open_artefact(folder, task.parent).artefact.id == built.artefact.id


# The files of other tools.


def test_the_modelfile_has_template_stop_and_system(folder, task):
    text = (folder / "gguf" / "Modelfile").read_text()
    assert text.startswith("FROM ./model-q8_0.gguf\n")
    assert "{{ range .Messages }}" in text
    assert 'PARAMETER stop "<|im_end|>"' in text
    assert 'SYSTEM """Which kind of message is it?"""' in text
    assert "PARAMETER num_predict 8" in text
    assert "PARAMETER temperature 0\nPARAMETER top_k 1\nPARAMETER repeat_penalty 1.0\n" in text


def test_a_template_that_is_no_list_of_turns_is_not_written(folder, task):
    model = load(task.parent / "model", "hf:./model", "float32")
    assert _modelfile.turn_template(model.tokenizer) is not None
    model.tokenizer.chat_template = (
        "{% for m in messages %}{{ loop.index }}{{ m['content'] }}\n{% endfor %}"
    )
    assert _modelfile.turn_template(model.tokenizer) is None


def test_other_families_get_llama_cpps_command(task, folder):
    model = load(task.parent / "model", "hf:./model", "float32")
    assert not gguf_file.refusal(model)
    model.module.config.model_type = "qwen2"
    parts = replace_model(model)
    assert "convert_hf_to_gguf.py" in gguf.cannot(parts)
    with pytest.raises(ValueError, match="qwen2"):
        gguf_file.write_gguf(model, folder / "never.gguf")


def replace_model(model):
    from types import SimpleNamespace

    return SimpleNamespace(model=model)


def test_stops_are_seen_between_forms(task, built, tmp_path, monkeypatch):
    def stop():
        raise signals.StopRequested(130)

    monkeypatch.setattr("tuneworthy.handover.building.signals.check", stop)
    with pytest.raises(signals.StopRequested):
        build(task, options=BuildOptions(arm=NAME, out=tmp_path / "out"))
