"""A copy of a model with fewer layers: which stay, what it computes, what it leaves unchanged."""

from itertools import pairwise

import pytest

from tuneworthy.models._reply_cache import RequestOverrides, with_overrides
from tuneworthy.models.local.layer_drop import kept_layers, without_layers
from tuneworthy.records.case import Message
from tuneworthy.records.errors import ModelError
from tuneworthy.records.model import Limits

PROMPT = [(Message(role="user", content="Hello Ann, how are you today?"),)]


@pytest.mark.parametrize(
    ("count", "every", "kept"),
    [(30, 2, 15), (30, 3, 10), (7, 2, 4), (3, 2, 2), (2, 2, 1), (4, 4, 1)],
)
def test_one_of_every_layers_stays_the_last_among_them(count, every, kept):
    layers = kept_layers(count, every)
    assert len(layers) == kept == len(set(layers))
    assert layers == sorted(layers)
    assert layers[-1] == count - 1
    assert layers[0] == (0 if kept > 1 else count - 1)
    gaps = [b - a for a, b in pairwise(layers)]
    assert max(gaps, default=0) <= every + 1


def skipped(module, ids, removed):
    """Return the model's logits with these layers skipped by hooks."""
    import torch

    def skip(layer, given, out):
        return (given[0], *out[1:]) if isinstance(out, tuple) else given[0]

    layers = module.get_decoder().layers
    hooks = [layers[at].register_forward_hook(skip) for at in removed]
    with torch.no_grad():
        logits = module(input_ids=ids, use_cache=False).logits
    for hook in hooks:
        hook.remove()
    return logits


@pytest.mark.full
def test_it_computes_what_the_kept_layers_compute_and_leaves_the_model_alone(engine):
    import torch

    before = engine.reply(PROMPT, Limits(max_tokens=6))[0].text
    count, ids = engine.module.config.num_hidden_layers, torch.tensor([[5, 9, 33, 70, 8]])
    cut, kept = without_layers(engine, 2), kept_layers(count, 2)
    right = skipped(engine.module, ids, [n for n in range(count) if n not in kept])
    with torch.no_grad():
        ours = cut.module(input_ids=ids, use_cache=False).logits
    assert torch.allclose(ours, right, atol=1e-5)
    assert not torch.allclose(skipped(engine.module, ids, []), right, atol=1e-3), "the control"
    own, theirs = (model.module.get_decoder().layers for model in (cut, engine))
    shared = [[p.data_ptr() for p in layer.parameters()] for layer in own]
    assert shared == [[p.data_ptr() for p in theirs[at].parameters()] for at in kept]
    assert engine.reply(PROMPT, Limits(max_tokens=6))[0].text == before
    assert cut.reply(PROMPT, Limits(max_tokens=6))[0].tokens_out > 0, "it has its own cache"
    assert cut.fingerprint["weights"] != engine.fingerprint["weights"]
    assert cut.spec.endswith(f"with {len(kept)} of {count} layers")


@pytest.mark.full
def test_a_wrapped_model_stays_wrapped_and_too_few_layers_are_refused(engines):
    model, stored = engines["llama"], {}

    def store(key, make):
        return stored.setdefault(key, make())

    cut = without_layers(with_overrides(model, RequestOverrides(), store), 2)
    cut.reply(PROMPT, Limits(max_tokens=2))
    assert len(stored) == 1, "its replies pass the dial"
    with pytest.raises(ModelError, match="can't be left out"):
        without_layers(model, 99)
