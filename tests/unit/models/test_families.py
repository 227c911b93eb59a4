"""Decoder families beyond Llama: opened from disk, answering and learning as transformers does.

Each is a tiny random model that was saved and is opened as a user's would be.
"""

import pytest
from models_kit import PROMPTS, WIDER, build

from tuneworthy.records.case import Message
from tuneworthy.records.model import Limits

pytestmark = pytest.mark.full


@pytest.fixture(scope="module", params=WIDER)
def opened(request, tmp_path_factory):
    from tuneworthy.models.hf import load

    folder = build(request.param, tmp_path_factory.mktemp(request.param))
    return load(folder, f"hf:{request.param}", "float32"), folder


def own(folder):
    """Return the model opened by plain transformers, with its own attention."""
    import torch
    import transformers

    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()


def ids_of(engine, prompt):
    from tuneworthy.models.local.chat_template import prompt_ids

    return prompt_ids(engine.tokenizer, prompt)


def far(found, truth):
    return float((found - truth).abs().max() / truth.abs().max())


def test_the_logits_are_those_of_transformers(opened):
    import torch

    from tuneworthy.models.local.forward import begin, read_prefix

    engine, folder = opened
    theirs, whole = own(folder), [ids_of(engine, prompt) for prompt in PROMPTS[:4]]
    cut = 20 if engine.net.fits(max(map(len, whole)) + 1) else 0
    with torch.inference_mode():
        truth = torch.stack([theirs(torch.tensor([ids])).logits[0, -1] for ids in whole])
        prefix = read_prefix(engine.net, whole[0][:cut]) if cut else None
        found = begin(engine.net, [ids[cut:] for ids in whole], prefix, 1)[0]
        other = begin(engine.net, [[*ids[cut:-1], ids[-1] ^ 1] for ids in whole], prefix, 1)[0]
    assert far(found, truth) < 1e-4
    assert far(other, truth) > 1e-2, "the control: another last token is seen"


def test_greedy_answers_are_those_of_transformers(opened):
    import torch

    engine, folder = opened
    theirs, clear = own(folder), 0
    for prompt, reply in zip(
        PROMPTS[:6], engine.reply(PROMPTS[:6], Limits(max_tokens=8)), strict=True
    ):
        ids, made, margin = ids_of(engine, prompt), [], 1.0
        while len(made) < 8 and (not made or made[-1] not in engine.ends):
            with torch.inference_mode():
                top = theirs(torch.tensor([[*ids, *made]])).logits[0, -1].topk(2)
            margin = min(margin, float(top.values[0] - top.values[1]))
            made.append(int(top.indices[0]))
        if margin > 1e-3:
            clear += 1
            said = made[:-1] if made[-1] in engine.ends else made
            assert reply.text == engine._text(said)
    assert clear >= 3


def examples():
    from tuneworthy.models.train.training_data import Example

    head = Message(role="system", content="You help with orders. Be short and precise.")
    return [
        Example(f"r{k}", (head, Message(role="user", content=f"order {k}: lost")), f"late {k % 3}")
        for k in range(8)
    ]


@pytest.fixture(scope="module")
def trained(opened, tmp_path_factory):
    """A run of LoRA on the opened model, and the base's weights as they were before."""
    from tuneworthy.models.train.loop import TrainingSchedule
    from tuneworthy.models.train.lora import LoraSettings, fit_lora
    from tuneworthy.models.train.training_data import TrainingData

    engine = opened[0]
    before = {name: weight.clone() for name, weight in engine.module.state_dict().items()}
    settings = LoraSettings(rank=4, pace=TrainingSchedule(epochs=5, batch=8, rate=1e-2))
    lessons = TrainingData(examples(), examples()[:2], lambda folder: 0.5)
    return fit_lora(engine, lessons, settings, 0, tmp_path_factory.mktemp("lora")), before


def test_a_step_of_lora_has_the_loss_of_transformers(opened, trained):
    import torch

    from tuneworthy.models.train.training_data import render

    engine, theirs = opened[0], own(opened[1])
    loss = shifted = count = 0.0
    for example in examples():
        row = render(engine.tokenizer, example.messages, example.answer, engine.context)
        for first in (row.first, row.first - 1):
            labels = torch.tensor([[-100] * first + list(row.ids[first:])])
            with torch.inference_mode():
                mean = float(theirs(input_ids=torch.tensor([row.ids]), labels=labels).loss)
            if first == row.first:
                loss, count = loss + mean * row.trained, count + row.trained
            else:
                shifted += mean * row.trained
    told = trained[0].trace["steps"][0]["loss"]
    assert told == pytest.approx(loss / count, rel=1e-4)
    assert told != pytest.approx(shifted / count, rel=1e-4), "the control: one more token trained"


def test_what_was_taught_is_likelier_and_the_base_is_as_it_was(opened, trained):
    import torch

    engine, (done, before) = opened[0], trained
    assert all(torch.equal(w, before[n]) for n, w in engine.module.state_dict().items())
    asked = [list(example.messages) for example in examples()]
    gold = [[example.answer] for example in examples()]
    plain = sum(row[0] for row in engine.logprobs(asked, gold))
    assert sum(row[0] for row in engine.with_adapter(done.adapter).logprobs(asked, gold)) > plain


def test_peft_reads_the_adapter_as_the_engine_does(opened, trained):
    import torch
    from peft import PeftModel

    engine, folder = opened
    adapter = trained[0].adapter
    ids = torch.tensor([ids_of(engine, PROMPTS[0])])
    with torch.inference_mode():
        theirs = PeftModel.from_pretrained(own(folder), adapter).eval()(input_ids=ids).logits
        with engine.with_adapter(adapter).adapter.applied(engine.module):
            ours = engine.module(input_ids=ids, use_cache=False).logits
        base = engine.module(input_ids=ids, use_cache=False).logits
    assert far(ours, theirs) < 1e-4
    assert far(base, theirs) > 1e-3


def test_the_memory_estimate_knows_the_family(opened):
    """Activations that torch keeps in one pass, within a fifth; the adapter's numbers exactly."""
    import torch

    from tuneworthy.models.train.loop import TrainingSchedule
    from tuneworthy.models.train.loss import answer_logits, open_net
    from tuneworthy.models.train.memory_fit import estimate
    from tuneworthy.models.train.training_data import EncodedExample
    from tuneworthy.models.train.twin import LoraShape, lora_twin

    wrapped = lora_twin(opened[0].module, LoraShape(rank=4), 0)
    rows = [
        EncodedExample(tuple((7 * k + n) % 390 + 3 for k in range(41)), (False,) * 38 + (True,) * 3)
        for n in range(1, 5)
    ]
    net = open_net(wrapped.base_model.model, rows[0].ids)
    weights, seen = {w.untyped_storage().data_ptr() for w in wrapped.parameters()}, {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        kept = answer_logits(net, rows, None)
    assert kept.requires_grad
    told = estimate(net, rows, LoraShape(rank=4), TrainingSchedule(batch=4))
    assert told["activations"] == pytest.approx(sum(seen.values()), rel=0.2)
    trained = sum(w.numel() for w in wrapped.parameters() if w.requires_grad)
    assert told["adapter"] == 4 * trained
