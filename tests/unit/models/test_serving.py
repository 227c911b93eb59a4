"""The printed vLLM command: base, adapter and rank as vLLM wants them."""

import json
import shlex

import pytest

from tuneworthy.models.local import serving as _serving
from tuneworthy.models.local.serving import serve_command, serving_commands


@pytest.fixture
def adapter(tmp_path):
    def made(rank):
        folder = tmp_path / "my adapter"
        folder.mkdir(exist_ok=True)
        (folder / "adapter_config.json").write_text(json.dumps({"r": rank}))
        return folder

    return made


@pytest.mark.parametrize(
    ("rank", "asked"), [(8, None), (16, None), (17, "32"), (64, "64"), (300, "320"), (512, "512")]
)
def test_the_rank_is_named_where_vllm_would_refuse_it(adapter, tmp_path, rank, asked):
    folder = adapter(rank)
    words = shlex.split(serve_command("hf:org/name", tmp_path, folder, "lora"))
    assert words[:3] == ["vllm", "serve", "org/name"]
    assert "--enable-lora" in words
    assert words[-2:] == ["--lora-modules", f"lora={folder.resolve()}"]
    told = words[words.index("--max-lora-rank") + 1] if "--max-lora-rank" in words else None
    assert told == asked


def test_the_base_is_a_folder_or_a_name_of_the_hub(adapter, tmp_path, monkeypatch):
    def base(spec):
        words = shlex.split(serve_command(spec, tmp_path, adapter(8), "lora (r=8)"))
        assert words[-1].startswith("lora-r-8=")
        return words[2 : words.index("--generation-config")]

    assert base("hf:org/name@abc") == ["org/name", "--revision", "abc"]
    assert base("hf:./models/m") == [str(tmp_path / "models" / "m")]
    monkeypatch.setattr("tuneworthy.models.local.wheel.locate", lambda: tmp_path / "small")
    assert base("smollm2-135m") == [str(tmp_path / "small")]
    assert base("vllm:org/name@abc") == base("hf:org/name@abc") == ["org/name", "--revision", "abc"]


def test_nothing_is_printed_that_would_not_run(adapter, tmp_path):
    assert serve_command("openai:gpt", tmp_path, adapter(8), "lora") == ""
    assert serve_command("hf:org/name", tmp_path, adapter(513), "lora") == ""
    assert serve_command("hf:org/name", tmp_path, tmp_path / "none", "lora") == ""
    config = adapter(8) / "adapter_config.json"
    config.write_text(json.dumps({"r": 8, "use_dora": True}))  # vLLM refuses DoRA
    assert serve_command("hf:org/name", tmp_path, config.parent, "lora") == ""
    config.write_text(json.dumps({"r": 8, "use_dora": False, "use_rslora": True}))
    assert serve_command("hf:org/name", tmp_path, config.parent, "lora")
    config.write_text("[]")
    assert serve_command("hf:org/name", tmp_path, config.parent, "lora") == ""
    assert list(_serving._RANKS) == sorted(_serving._RANKS)


def test_every_command_samples_as_the_study_did(adapter, tmp_path):
    """vLLM takes penalties of the model's repository by default (1.05 in that of Qwen2.5)."""
    adapter(8).rename(tmp_path / "peft")
    forms = ("peft", "merged", "weights", "gguf")
    told = serving_commands("hf:org/name", tmp_path, tmp_path, forms)
    vllm = [shlex.split(one) for one in told if one.startswith("vllm")]
    assert len(vllm) == 3
    for words in vllm:
        assert words[words.index("--generation-config") + 1] == "vllm"
        greedy = words[words.index("--override-generation-config") + 1]
        assert json.loads(greedy) == {"temperature": 0}
    llama = next(shlex.split(one) for one in told if one.startswith("llama-server"))
    assert llama[-3:] == ["--jinja", "--temp", "0"]


def test_the_template_beside_an_adapter_is_named(adapter, tmp_path):
    folder = adapter(8)
    assert "--chat-template" not in serve_command("hf:org/name", tmp_path, folder, "lora")
    (folder / "chat_template.jinja").write_text("x")
    words = shlex.split(serve_command("hf:org/name", tmp_path, folder, "lora"))
    assert words[words.index("--chat-template") + 1] == str(folder / "chat_template.jinja")


@pytest.mark.parametrize(
    ("manifest", "printed"),
    [
        ({"base": {"thinking": "off"}}, False),
        ({"base": {"thinking": "free"}}, False),
        ({"base": {"thinking": "none"}}, True),
        ({"base": {}}, True),
        ([], True),
    ],
)
def test_no_command_under_another_template_is_printed(adapter, tmp_path, manifest, printed):
    """After `run` the folder has no template yet: under its base's own, the model would think."""
    folder = adapter(8)
    (folder / "tuneworthy.json").write_text(json.dumps(manifest))
    assert bool(serve_command("hf:org/name", tmp_path, folder, "lora")) == printed
    (folder / "chat_template.jinja").write_text("x")
    assert "--chat-template" in serve_command("hf:org/name", tmp_path, folder, "lora")
