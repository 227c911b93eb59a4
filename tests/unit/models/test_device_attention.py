"""The attention of GPUs, run on a CPU: equal to eager attention and to the CPU engine's.

Grouped heads, a shared prefix, ragged rows, trees, bounded scores, sliding windows; in one block
and in many. The engine's switch sends whole models down the same path.
"""

import pytest
from models_kit import PROMPTS, TEXTS, ask, build

from tuneworthy.records.model import Grammar, Limits

pytestmark = pytest.mark.full
ROWS, KEPT, WIDTH, PAST = 5, 2, 16, 19


def sides(group=3, length=23, keys=23, past=PAST, seed=0):
    """Return queries, own keys and values, and those of a prefix (or None), drawn at random."""
    import torch

    draw = torch.Generator().manual_seed(seed)

    def made(*shape):
        return torch.randn(*shape, generator=draw)

    own = made(ROWS, KEPT, keys, WIDTH), made(ROWS, KEPT, keys, WIDTH)
    shared = (made(1, KEPT, past, WIDTH), made(1, KEPT, past, WIDTH)) if past else None
    return made(ROWS, KEPT * group, length, WIDTH), own, shared


def ragged(keys):
    """Return a mask of keys without padding, for rows of different length padded on the left."""
    import torch

    real = torch.zeros(ROWS, keys, dtype=torch.bool)
    for row in range(ROWS):
        real[row, row * (keys - 1) // ROWS :] = True
    return real


def eager(query, own, shared, real, softcap=None):
    """Return attention by its formula, in double precision, with all scores."""
    import torch

    rows, heads, length, width = query.shape
    key, value = own
    if shared:
        key, value = (
            torch.cat([s.expand(rows, -1, -1, -1), o], 2) for s, o in zip(shared, own, strict=True)
        )
    key, value = (t.double().repeat_interleave(heads // KEPT, 1) for t in (key, value))
    scores = query.double() @ key.transpose(2, 3) * width**-0.5
    if softcap:
        scores = torch.tanh(scores / softcap) * softcap
    keys, past = own[0].shape[2], shared[0].shape[2] if shared else 0
    place = torch.arange(keys - length, keys)[:, None]
    seen = (real[:, None] & (torch.arange(keys) <= place)) | (torch.arange(keys) == place)
    seen = torch.nn.functional.pad(seen, (past, 0), value=True)[:, None]
    return scores.masked_fill(~seen, float("-inf")).softmax(-1) @ value


def ours(query, own, shared, real, **how):
    from functools import partial

    from tuneworthy.models.local.device_attention import ScoreOptions, attend
    from tuneworthy.models.local.prefix_attention import AttentionContext, _look

    shape = query.shape[2], own[0].shape[2], query.dtype
    look = partial(_look, AttentionContext(None, None, real), shape)
    return attend(query, own, shared, look, ScoreOptions(WIDTH**-0.5, **how))


@pytest.mark.parametrize("held", [1 << 28, 20_000, 1])
@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("length", [1, 4, 23])
@pytest.mark.parametrize("past", [0, PAST])
@pytest.mark.parametrize("group", [1, 3])
def test_it_is_eager_attention_to_the_last_digits(group, past, length, softcap, held):
    query, own, shared = sides(group, length, past=past)
    real = ragged(23)
    truth = eager(query, own, shared, real, softcap)
    found = ours(query, own, shared, real, softcap=softcap, held=held)
    assert float((found - truth).abs().max()) < 1e-5
    hidden = real.clone()
    hidden[1, -1 - min(length, 10)] = False  # the control: one key less
    other = eager(query, own, shared, hidden, softcap)
    assert float((found - other).abs().max()) > 1e-3


@pytest.mark.parametrize("past", [0, PAST])
@pytest.mark.parametrize("length", [1, 23])
def test_it_is_the_attention_of_the_cpu(past, length):
    from tuneworthy.models.local.prefix_attention import AttentionContext, _attend_on_cpu

    query, own, shared = sides(3, length, past=past)
    real = ragged(23)
    here = _attend_on_cpu(query, own, shared, AttentionContext(None, None, real), WIDTH**-0.5)
    assert float((ours(query, own, shared, real) - here).abs().max()) < 1e-5


@pytest.mark.parametrize("softcap", [None, 2.0])
def test_no_tensor_of_quadratic_size_is_made(softcap):
    """Of 1,000 queries at 1,000 keys the scores take 24 MB a row; no tensor is larger than 2 MB."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        bytes = 0

        def __torch_dispatch__(self, call, types, args=(), kwargs=None):
            found = call(*args, **(kwargs or {}))
            for one in found if isinstance(found, tuple | list) else [found]:
                if isinstance(one, torch.Tensor):
                    self.bytes = max(self.bytes, one.numel() * one.element_size())
            return found

    query, own, shared = sides(3, 1000, 1000, 0)
    with Largest() as seen:
        ours(query, own, shared, ragged(1000), softcap=softcap, held=1 << 20)
    assert seen.bytes <= query.numel() * 4  # the output itself: 1.9 MB
    with Largest() as whole:  # the control
        eager(query, own, shared, ragged(1000), softcap)
    assert whole.bytes > 100 * 10**6


def test_bounded_scores_are_not_kept_for_the_backward_pass():
    import torch

    kept = []

    def pack(tensor):
        kept.append(tensor.untyped_storage().nbytes())
        return tensor

    query, own, shared = sides(3, 200, 200, 0)
    query.requires_grad_(True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        found = ours(query, own, shared, ragged(200), softcap=2.0)
    assert max(kept) <= ROWS * 200 * 200 * 4  # the mask, which all layers share; scores: 6 times
    found.square().sum().backward()
    mine, query.grad = query.grad, None
    eager(query, own, shared, ragged(200), 2.0).square().sum().backward()
    assert float((mine - query.grad).abs().max()) < 1e-4
    assert float(mine.abs().max()) > 0.01


FAMILIES = ("llama", "qwen2", "qwen3", "gemma2", "gemma3", "mistral", "phi3", "gpt_neox")


@pytest.fixture(scope="module", params=FAMILIES)
def pair(request, tmp_path_factory):
    """Return one model twice: on the CPU engine, and on the general path."""
    from tuneworthy.models.hf import load

    folder = build(request.param, tmp_path_factory.mktemp(request.param))
    engine = load(folder, f"hf:{request.param}", "float32")
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("TUNEWORTHY_CPU_ENGINE", "0")
        general = load(folder, f"hf:{request.param}", "float32")
    assert general.net.decoder is None
    assert general.net.shares
    assert general.fingerprint["cpu_engine"] == "off"
    return engine, general


def read(engine):
    """Return logits of ragged rows after a prefix, of a step after them, and at a tree's nodes."""
    import torch

    from tuneworthy.models.local import forward as _forward
    from tuneworthy.models.local.chat_template import prompt_ids

    whole = [prompt_ids(engine.tokenizer, prompt) for prompt in PROMPTS[:6]]
    cut = 7 if engine.net.fits(max(map(len, whole)) + 20) else 0
    with torch.inference_mode():
        prefix = _forward.read_prefix(engine.net, whole[0][:cut]) if cut else None
        first, state = _forward.begin(engine.net, [ids[cut:] for ids in whole], prefix, 8)
        found = [first, _forward.step(engine.net, state, [5, 6, 7, 8, 9, 10])]
        state.keep([2, 0, 5])
        found.append(_forward.step(engine.net, state, [11, 12, 13]))
        if cut:
            nodes = torch.tensor([[4, 5, 6]] * 3)
            seen = torch.ones(3, 3, dtype=torch.bool).tril()[None].expand(3, -1, -1)
            depth = torch.tensor([[0, 1, 2]] * 3)
            found.append(_forward.tree(engine.net, state, nodes, depth, seen))
    return found


def test_a_model_gives_the_same_logits_on_both_paths(pair, monkeypatch):
    """Grouped heads, ragged rows, a shared prefix, and windows shorter than the rows (mistral)."""
    engine, general = pair
    here = read(engine)
    monkeypatch.setenv("TUNEWORTHY_CPU_ENGINE", "0")
    for mine, theirs in zip(here, read(general), strict=True):
        assert float((mine - theirs).abs().max() / mine.abs().max()) < 1e-5


def test_answers_and_log_probabilities_are_the_same(pair, monkeypatch):
    engine, general = pair
    labels, prompts = ["late", "lost", "broken on arrival"], ask(*(t * 2 for t in TEXTS))
    held = Limits(max_tokens=8, grammar=Grammar(kind="labels", value=labels))
    here = (
        engine.reply(PROMPTS, Limits(max_tokens=6)),
        engine.logprobs(prompts, [labels] * 3),
        engine.reply(PROMPTS[:4], held),
    )
    monkeypatch.setenv("TUNEWORTHY_CPU_ENGINE", "0")
    texts = [reply.text for reply in general.reply(PROMPTS, Limits(max_tokens=6))]
    same = sum(mine.text == text for mine, text in zip(here[0], texts, strict=True))
    assert same >= len(texts) - 1  # a random model's logits may tie
    for mine, theirs in zip(here[1], general.logprobs(prompts, [labels] * 3), strict=True):
        assert theirs == pytest.approx(mine, rel=1e-4)
    chosen = general.reply(PROMPTS[:4], held)
    assert [one.text for one in chosen] == [one.text for one in here[2]]
