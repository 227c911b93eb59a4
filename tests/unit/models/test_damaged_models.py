"""D2: an incomplete model is refused with the missing names, never filled with random numbers."""

import json
import os
import shutil

import pytest
from models_kit import ask, build, tiny_config, tiny_tokenizer

from tuneworthy.models.local import wheel as _hub
from tuneworthy.records.errors import ModelError, SecurityError

pytestmark = pytest.mark.full


@pytest.fixture
def folder(folders, tmp_path):
    return shutil.copytree(folders["llama"], tmp_path / "model")


def opened(folder):
    from tuneworthy.models.hf import load

    return load(folder, "hf:m", "float32")


def tensors(folder, change):
    from safetensors.torch import load_file, save_file

    found = load_file(folder / "model.safetensors")
    change(found)
    save_file(found, folder / "model.safetensors", metadata={"format": "pt"})


def config(folder, **keys):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


MLP = "model.layers.1.mlp.down_proj.weight"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.pop(MLP), f"missing {MLP}"),
        (lambda t: t.pop("lm_head.weight"), "missing lm_head.weight"),
        (lambda t: t.update({"model.layers.9.odd.weight": t[MLP].clone()}), "unexpected"),
        (lambda t: t.update({MLP: t[MLP][:, :40].clone()}), f"mismatched {MLP} [48, 40] for"),
    ],
    ids=["missing", "head", "unexpected", "mismatched"],
)
def test_tensors_that_are_not_the_models_are_named(folder, change, says):
    opened(folder)
    tensors(folder, change)
    with pytest.raises(ModelError, match="not those of this model") as caught:
        opened(folder)
    assert says in caught.value.got


def test_a_tied_head_is_not_missed(tmp_path):
    import torch
    import transformers

    tokenizer = tiny_tokenizer()
    shape = tiny_config("llama", len(tokenizer))
    shape.tie_word_embeddings = True
    torch.manual_seed(0)
    transformers.AutoModelForCausalLM.from_config(shape).float().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    tensors(tmp_path, lambda found: found.pop("lm_head.weight", None))
    module = opened(tmp_path).module
    assert module.lm_head.weight is module.model.embed_tokens.weight
    config(tmp_path, tie_word_embeddings=False)
    with pytest.raises(ModelError, match="not those of this model"):
        opened(tmp_path)


@pytest.mark.parametrize(
    "keys",
    [{"model_type": "mistral"}, {"architectures": ["LlamaModel"]},
     {"architectures": ["LlamaForSequenceClassification"]},
     {"architectures": ["GemmaForCausalLM"]}],
)  # fmt: skip
def test_a_config_of_another_class_is_refused(folder, keys):
    config(folder, **keys)
    with pytest.raises(ModelError, match="another class"):
        opened(folder)


def test_i99_a_base_model_with_the_template_of_its_tuned_sibling_is_noted():
    from tuneworthy.models.local.opening import end_notes

    tokenizer = tiny_tokenizer()
    assert end_notes(tokenizer, [2, 0]) == ()
    (note,) = end_notes(tokenizer, [0])
    assert "ends an answer with <|im_end|>, its files with <|pad|>: it may be a base" in note
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
    assert end_notes(tokenizer, [0]) == (), "a template that ends nothing tells nothing"
    tokenizer.chat_template = None
    assert end_notes(tokenizer, [0]) == (), "without one the model is refused at its first prompt"


def test_i99_what_is_noted_is_said_on_opening(folder):
    from tuneworthy.models import notices

    config(folder, eos_token_id=0)
    (folder / "generation_config.json").write_text('{"eos_token_id": 0}')
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "eos_token": "<|pad|>"}))
    model = opened(folder)
    assert model.ends == [0]
    assert any("may be a base model" in notice for notice in notices(model))


def test_a_config_without_architectures_still_opens(folder):
    config(folder, architectures=None)
    assert opened(folder).context == 512


def test_a_larger_config_is_refused_before_it_is_built(folder, monkeypatch):
    from tuneworthy.models.local import memory as _sizes

    monkeypatch.setattr(_sizes, "free_memory", lambda device: 10**18)
    for key, value in (("num_hidden_layers", 1999), ("hidden_size", 4800), ("vocab_size", 10**7)):
        before = (folder / "config.json").read_text()
        config(folder, **{key: value})
        with pytest.raises(ModelError, match="config is not that of the weights"):
            opened(folder)
        (folder / "config.json").write_text(before)
    config(folder, intermediate_size=10**6)
    with pytest.raises(ModelError, match="it builds a model of"):
        opened(folder)


def test_other_weights_than_those_looked_at_are_never_opened(folder):
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(ModelError, match="adapter in the model folder"):
        opened(folder)
    (folder / "adapter_config.json").unlink()
    config(folder, transformers_weights="other.safetensors")
    with pytest.raises(ModelError, match="weight files of its own"):
        opened(folder)
    config(folder, transformers_weights=None)
    shutil.copy(folder / "model.safetensors", folder / "model-00001-of-00002.safetensors")
    with pytest.raises(ModelError, match="no index"):
        opened(folder)
    index = {"weight_map": {"w": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="two models"):
        opened(folder)


DROPPED = [
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    "{% for m in messages %}{{ m['role'] }}{% endfor %}<|im_start|>assistant\n",
    "{% for m in messages %}{{ m['content'][:5] }}{% endfor %}<|im_start|>assistant\n",
    "{{ raise_exception('only pictures') }}",
]


@pytest.mark.parametrize("template", DROPPED)
def test_a_template_that_drops_the_input_is_refused(folder, template):
    (folder / "chat_template.jinja").write_text(template)
    with pytest.raises(ModelError, match="can't put a plain question"):
        opened(folder)


def test_a_template_that_cuts_a_long_input_costs_that_row(folder):
    from tuneworthy.records.model import Limits

    cut = "{% for m in messages %}{{ m['content'][:99] }}<|im_end|>{% endfor %}<|im_start|>\n"
    (folder / "chat_template.jinja").write_text(cut)
    short, long = opened(folder).reply(ask("a b", "a " * 80, system=None), Limits(max_tokens=2))
    assert short.error is None
    assert "leaves out or changes" in long.error


# ---- the hub's cache


@pytest.fixture
def hub(folders, tmp_path, monkeypatch):
    """A snapshot as the hub keeps it: links to blobs; `online` completes it."""
    import huggingface_hub

    repo = tmp_path / "models--org--tiny"
    snapshot, blobs = repo / "snapshots" / "abc", repo / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for at, path in enumerate(sorted(folders["llama"].iterdir())):
        shutil.copy(path, blobs / f"b{at}")
        os.symlink(f"../../blobs/b{at}", snapshot / path.name)
    state = {"online": None, "asked": []}

    def download(**asked):
        state["asked"].append(asked.get("local_files_only", False))
        if asked.get("local_files_only"):
            return str(snapshot)
        if state["online"] is None:
            raise OSError("no network")
        state["online"](snapshot, blobs)
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    state |= {"snapshot": snapshot, "blobs": blobs}
    return state


def test_a_whole_snapshot_is_opened_without_a_request(hub):
    assert _hub.snapshot("org/tiny") == hub["snapshot"]
    assert hub["asked"] == [True]


def test_a_finished_blob_beside_its_half_is_whole(hub):
    (hub["blobs"] / "b0.incomplete").write_bytes(b"x")
    assert _hub.snapshot("org/tiny") == hub["snapshot"]


BREAKS = {
    "link to nothing": lambda s, b: (s / "model.safetensors").resolve().unlink(),
    "no weights": lambda s, b: (s / "model.safetensors").unlink(),
    "no tokenizer": lambda s, b: (s / "tokenizer.json").unlink(),
    "half a blob": lambda s, b: (b / "c9.incomplete").write_bytes(b"x"),
    "missing shard": lambda s, b: (s / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"w": "model.safetensors", "v": "model-2.safetensors"}})
    ),
    "cut weights": lambda s, b: (s / "model.safetensors").resolve().write_bytes(b"\x10" * 20),
}


@pytest.mark.parametrize("how", BREAKS)
def test_half_a_download_is_completed_or_refused(hub, folders, how):
    BREAKS[how](hub["snapshot"], hub["blobs"])
    with pytest.raises(ModelError, match="can't be had from the hub") as caught:
        _hub.snapshot("org/tiny")
    assert "no network" in caught.value.got

    def completed(snapshot, blobs):
        for path in list(snapshot.iterdir()):
            path.unlink()
        for path in folders["llama"].iterdir():
            shutil.copy(path, snapshot / path.name)

    hub["online"] = completed
    assert _hub.snapshot("org/tiny") == hub["snapshot"]
    assert hub["asked"] == [True, False] * 2


def test_a_download_that_stays_half_is_refused(hub):
    (hub["snapshot"] / "tokenizer.json").unlink()
    hub["online"] = lambda snapshot, blobs: None
    with pytest.raises(ModelError, match="not whole"):
        _hub.snapshot("org/tiny")


def test_a_folder_that_a_download_left_is_refused(folder):
    half = folder / ".cache" / "huggingface" / "download"
    half.mkdir(parents=True)
    (half / "x.incomplete").write_bytes(b"x")
    with pytest.raises(ModelError, match="did not end"):
        opened(folder)


# ---- siblings: adapters and the encoder


def test_an_adapter_that_lacks_layers_is_refused(engines, tmp_path):
    import copy

    from peft import LoraConfig, get_peft_model

    engine = engines["llama"]
    shape = LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"])
    wrapped = get_peft_model(copy.deepcopy(engine.module), shape)
    for name, weight in wrapped.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(0, 0.1)
    wrapped.save_pretrained(tmp_path)
    engine.with_adapter(tmp_path)
    from safetensors.torch import load_file, save_file

    file = tmp_path / "adapter_model.safetensors"
    found = load_file(file)
    whole = dict(found)
    for name in [name for name in found if ".layers.1." in name and "q_proj" in name]:
        del found[name]
    save_file(found, file)
    with pytest.raises(ModelError, match="lacks tensors") as caught:
        engine.with_adapter(tmp_path)
    assert "layers.1.self_attn.q_proj" in caught.value.got
    save_file(whole | {n: t[:1].contiguous() for n, t in whole.items() if "lora_A" in n}, file)
    with pytest.raises(ModelError, match="match no layer"):
        engine.with_adapter(tmp_path)
    save_file(whole, file)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"lora_alpha": "much"}))
    with pytest.raises(ModelError, match="no scale"):
        engine.with_adapter(tmp_path)


@pytest.mark.parametrize(
    "keys",
    [{"hidden_size": 24}, {"intermediate_size": 48}, {"num_hidden_layers": 3},
     {"num_attention_heads": 5}, {"num_attention_heads": 0}, {"num_hidden_layers": -1},
     {"hidden_size": "48"}, {"max_position_embeddings": 4000}],
)  # fmt: skip
def test_an_encoder_whose_weights_are_not_its_configs_is_refused(tmp_path, keys):
    import encoder_kit

    from tuneworthy.models.encoder.vectors import Encoder

    folder = encoder_kit.build(tmp_path / "encoder")
    assert Encoder(folder).encode(["lost card"]).shape == (1, 48)
    config(folder, **keys)
    with pytest.raises(ModelError, match="encoder can't be opened"):
        Encoder(folder)


def test_security_comes_before_completion(hub):
    path = (hub["snapshot"] / "config.json").resolve()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": {"A": "b.C"}}))
    found = _hub.snapshot("org/tiny")
    with pytest.raises(SecurityError):
        opened(found)


def test_the_models_of_the_kit_are_whole(tmp_path):
    assert opened(build("qwen2", tmp_path / "q")).context == 512
