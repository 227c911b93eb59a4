"""What is exported has the chat template under which it was measured: its switch is set."""

from types import SimpleNamespace as Made

import pytest

pytest.importorskip("transformers")

import tests.tiny  # noqa: F401  finds the kits of models/
from thinking_kit import HYBRID, PLAIN, tokenizer

from tuneworthy.handover.forms._parts import write_template
from tuneworthy.models.local.chat_template import conversation
from tuneworthy.models.local.opening import set_thinking

TURNS = [("user", "where is my parcel")]


@pytest.mark.parametrize(
    ("template", "setting", "note"),
    [(HYBRID, "auto", "thinking off"), (HYBRID, "on", "thinking on"), (PLAIN, "auto", "")],
)
def test_the_exported_tokenizer_renders_the_measured_prompt(tmp_path, template, setting, note):
    """Under the base's template a model that was measured without thinking thinks."""
    from transformers import AutoTokenizer

    coder = tokenizer(template)
    coder.save_pretrained(tmp_path)
    thinking = set_thinking(coder, setting)
    notes = write_template(Made(model=Made(tokenizer=coder, thinking=thinking)), tmp_path)
    assert bool(notes) == bool(note)
    assert note in " ".join(notes)
    exported = AutoTokenizer.from_pretrained(tmp_path).apply_chat_template(
        [{"role": role, "content": text} for role, text in TURNS],
        add_generation_prompt=True, tokenize=False,
    )  # fmt: skip
    assert exported == conversation(coder, TURNS)
    assert exported.endswith("</think>") == (note == "thinking off")


def test_a_model_without_the_setting_keeps_its_template(tmp_path):
    assert write_template(Made(model=Made()), tmp_path) == ()
    assert not list(tmp_path.iterdir())


@pytest.mark.full
def test_plain_engines_read_the_template_beside_the_adapter(tmp_path, monkeypatch):
    from peft import LoraConfig, get_peft_model
    from thinking_kit import written
    from transformers import AutoModelForCausalLM

    from tuneworthy.models.hf import load
    from tuneworthy.models.local.exported import PlainEngine
    from tuneworthy.records.case import Message

    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path / "cache"))
    folder = written(tmp_path / "model", HYBRID)
    model, prompt = load(folder, "hf:hybrid", "float32"), [Message(role="user", content="parcel")]
    adapter = tmp_path / "adapter"
    base = AutoModelForCausalLM.from_pretrained(folder)
    get_peft_model(base, LoraConfig(r=1, target_modules=["q_proj"])).save_pretrained(adapter)
    assert PlainEngine(folder, adapter).prompt_tokens([prompt]) != [model.count_tokens(prompt)]
    write_template(Made(model=model), adapter)
    assert PlainEngine(folder, adapter).prompt_tokens([prompt]) == [model.count_tokens(prompt)]
