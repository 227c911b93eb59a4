"""An adapter at another strength: 1 is the adapter and 0 the base, bit for bit; between, scaled."""

import json
import math
from dataclasses import replace

import pytest
from models_kit import PROMPTS, make_adapter

from tuneworthy.models.local.adapter_strength import at_strength, scaled
from tuneworthy.records.errors import ModelError
from tuneworthy.records.model import Limits

LIMITS = Limits(max_tokens=8)
STEPS = (0.0, 0.25, 0.5, 1.0, 1.5)
pytestmark = pytest.mark.full


@pytest.fixture(params=["llama", "gpt_neox"])  # with the CPU engine, and on the general path
def engine(request, engines):
    return engines[request.param]


@pytest.fixture
def tuned(engine, tmp_path):
    make_adapter(engine, tmp_path / "a")
    return engine.with_adapter(tmp_path / "a")


def logits_of(model):
    """Return the logits of the module with hooks, and those of the engine."""
    import torch

    from tuneworthy.models.local.forward import begin

    ids = [model._prompt_ids(prompt) for prompt in PROMPTS[:2]]
    with model._adapter_applied(), torch.inference_mode():
        whole = model.module(input_ids=torch.tensor([ids[0]])).logits
        read, _ = begin(model.net, ids, None, 1)
    return whole, read


def same(one, other):
    import torch

    return [torch.equal(*pair) for pair in zip(one, other, strict=True)]


def test_one_is_the_adapter_and_zero_the_base_bit_for_bit(engine, tuned):
    assert same(logits_of(at_strength(engine, tuned, 1.0)), logits_of(tuned)) == [True, True]
    assert same(logits_of(at_strength(engine, tuned, 0.0)), logits_of(engine)) == [True, True]
    assert same(logits_of(tuned), logits_of(engine)) == [False, False]


def test_a_half_is_the_adapter_whose_alpha_is_halved(engine, tuned, tmp_path):
    config = tmp_path / "a" / "adapter_config.json"
    content = json.loads(config.read_text("utf-8"))
    config.write_text(json.dumps({**content, "lora_alpha": content["lora_alpha"] / 2}), "utf-8")
    halved = engine.with_adapter(tmp_path / "a")
    assert same(logits_of(at_strength(engine, tuned, 0.5)), logits_of(halved)) == [True, True]


def test_every_strength_is_another_model_and_leaves_the_others_alone(engine, tuned):
    before = logits_of(tuned)
    models = [at_strength(engine, tuned, strength) for strength in STEPS]
    marks = {json.dumps(model.fingerprint, sort_keys=True) for model in models}
    assert len(marks) == len(STEPS), "answers of one strength are never taken for another's"
    found = [logits_of(model) for model in models]
    assert all(same(one, found[-1]) == [False, False] for one in found[:-1])
    assert same(logits_of(tuned), before) == [True, True]
    assert models[1].module is engine.module, "the weights are shared"
    assert all(not reply.error for reply in models[-1].reply(PROMPTS[:1], LIMITS))


def test_what_has_no_strength_is_refused(engine, tuned):
    with pytest.raises(ModelError, match="no adapter"):
        at_strength(engine, engine, 1.0)
    for strength in (math.nan, math.inf):
        with pytest.raises(ModelError, match="no number"):
            at_strength(engine, tuned, strength)
    gains = dict.fromkeys(tuned.adapter.changes, 1.0)
    with pytest.raises(ModelError, match="DoRA"):
        scaled(replace(tuned.adapter, gains=gains), 0.5)
