"""N22: OpenVINO on the GGUF that models/train/gguf_file.py writes, against our engine."""

import sys
from pathlib import Path

import pytest
from models_kit import EMBEDDED
from test_hf import make_adapter

sys.path.insert(0, str(Path(__file__).parents[3] / "bench"))

torch = pytest.importorskip("torch")
pytest.importorskip("gguf")
pytestmark = pytest.mark.full

MARGIN = 1e-3


def rounded(engine):
    """Return an engine whose module holds the weights as the file keeps them, adapter merged."""
    import copy

    from tuneworthy.models.hf import HF
    from tuneworthy.models.train.gguf_file import merged_weights

    module = copy.deepcopy(engine.module)
    with torch.no_grad():
        for name, weight in merged_weights(engine):
            half = weight.half() if weight.ndim > 1 else weight  # as the file keeps them
            module.get_parameter(name).copy_(half.float())
    return HF("rounded", module, engine.tokenizer, engine.fingerprint)


def test_n22_the_file_holds_the_merged_weights(engines, tmp_path):
    """transformers reads the file back, permutation undone: bit for bit what was merged."""
    import transformers

    from tuneworthy.models.train.gguf_file import write_gguf

    base = engines["llama"]
    (tmp_path / "file").mkdir()  # transformers would take an adapter beside it for the model
    make_adapter(base, tmp_path / "lora")
    tuned = base.with_adapter(tmp_path / "lora")
    for engine, other in ((base, tuned), (tuned, base)):
        write_gguf(engine, tmp_path / "file" / "made.gguf")
        where = {"gguf_file": "made.gguf", "dtype": torch.float32}
        read = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "file", **where)
        for name, weight in rounded(engine).module.named_parameters():
            assert torch.equal(read.get_parameter(name), weight), name
        far = dict(rounded(other).module.named_parameters())
        assert not torch.equal(
            read.get_parameter("model.layers.0.self_attn.q_proj.weight"),
            far["model.layers.0.self_attn.q_proj.weight"],
        )


def test_n22_another_family_is_refused(engines, tmp_path):
    from tuneworthy.models.train.gguf_file import write_gguf

    with pytest.raises(ValueError, match="gpt_neox"):
        write_gguf(engines["gpt_neox"], tmp_path / "made.gguf")


def apart(engine, prompts, said):
    """Return the number of answers that differ from ours where no near tie (MARGIN) explains it."""
    wrong = 0
    for ids, answer in zip(prompts, said, strict=True):
        whole = torch.tensor([[*ids, *answer]])
        with torch.inference_mode():
            logits = engine.module(input_ids=whole).logits[0, len(ids) - 1 : -1]
        top = logits.topk(2, dim=-1)
        clear = top.values[:, 0] - top.values[:, 1] > MARGIN
        wrong += bool((clear & (top.indices[:, 0] != whole[0, len(ids) :])).any())
    return wrong


@pytest.fixture(scope="module")
def tickets():
    """Return the test rows of support_tickets as prompts, and all rows."""
    from tuneworthy.records.case import Message
    from tuneworthy.suite import support_tickets

    made = support_tickets.make(0)
    head = Message(role="system", content=support_tickets.TASK["instruction"])
    asked = [[head, Message(role="user", content=row["input"])] for row in made.rows]
    return made, asked


@pytest.fixture(scope="module")
def adapter(tickets, tmp_path_factory):
    """Return a really trained adapter: one epoch on the training rows, in float32."""
    from tuneworthy.models.hf import load
    from tuneworthy.models.train.loop import TrainingSchedule
    from tuneworthy.models.train.lora import LoraSettings, fit_lora
    from tuneworthy.models.train.training_data import Example, TrainingData

    made, asked = tickets
    train = [
        Example(str(k), asked[k], made.rows[k]["output"])
        for k in range(made.split)  # 240 rows
    ]
    lessons = TrainingData(train=train, dev=(), dev_score=lambda folder: 0.0)
    model = load(EMBEDDED, "embedded")
    settings = LoraSettings(pace=TrainingSchedule(epochs=1, rate=1e-3, batch=8))
    return fit_lora(model, lessons, settings, 0, tmp_path_factory.mktemp("lora")).adapter


@pytest.mark.long
@pytest.mark.skipif(EMBEDDED is None, reason="the embedded model is not on this machine")
def test_n22_greedy_text_is_ours_in_float32(tickets, adapter, tmp_path):
    """64 prompts, 40 tokens, base and merged; the base file in place of the merged one fails."""
    pytest.importorskip("openvino_genai")
    from _gguf import open_vino

    from tuneworthy.models.hf import load
    from tuneworthy.models.train.gguf_file import write_gguf

    made, asked = tickets
    base = load(EMBEDDED, "embedded", "float32")
    tuned = base.with_adapter(adapter)
    prompts = [base._prompt_ids(prompt) for prompt in asked[made.split : made.split + 64]]
    said = {}
    for name, engine in (("base", base), ("merged", tuned)):
        ask = open_vino(write_gguf(engine, tmp_path / f"{name}.gguf"), "f32")
        said[name] = ask(prompts, 40)
        assert apart(rounded(engine), prompts, said[name]) == 0, name
    assert apart(rounded(tuned), prompts, said["base"]) > 32


@pytest.mark.long
@pytest.mark.skipif(EMBEDDED is None, reason="the embedded model is not on this machine")
def test_n22_the_metric_is_ours_at_the_precision_of_the_run(tickets, adapter, tmp_path):
    """fields_f1 of the tuned model on all test rows: within half the margin of the task."""
    pytest.importorskip("openvino_genai")
    from _gguf import open_vino

    from tuneworthy.models.hf import load
    from tuneworthy.models.local import generate as _generate
    from tuneworthy.models.train.gguf_file import write_gguf

    made, asked = tickets
    ours = load(EMBEDDED, "embedded").with_adapter(adapter)
    whole = load(EMBEDDED, "embedded", "float32")
    prompts = [ours._prompt_ids(prompt) for prompt in asked[made.split :]]
    room, ends = made.task["output"]["max_tokens"], frozenset(ours.ends)
    with ours._adapter_applied():
        draw = _generate.DecodingOptions(room=room, ends=ends)
        drawn = _generate.generate(ours.net, prompts, [room] * len(prompts), draw)
    said = {"ours": [one.ids for one in drawn]}
    for name, engine in (("merged", whole.with_adapter(adapter)), ("base", whole)):
        ask = open_vino(write_gguf(engine, tmp_path / f"{name}.gguf"))
        said[name] = ask(prompts, room, ends=ends)
    scores = {name: points(ours, made, ids) for name, ids in said.items()}
    delta = made.task["success"]["margin"]
    difference = scores["merged"] - scores["ours"]
    print({name: found.mean() for name, found in scores.items()}, difference.mean())
    assert abs(difference.mean()) <= delta / 2
    spread = difference.std(ddof=1) / len(difference) ** 0.5
    assert abs(difference.mean()) <= 1.96 * spread + 1e-12  # no bias: the interval holds 0
    assert abs((scores["base"] - scores["ours"]).mean()) > delta / 2


def points(engine, made, said):
    """Return fields_f1 for each test row; an answer that is no JSON gets 0."""
    import numpy as np

    from tuneworthy.metrics._leaves import parse
    from tuneworthy.metrics.fields_f1 import leaf_f1

    found = []
    for row, ids in zip(made.rows[made.split :], said, strict=True):
        try:
            found.append(leaf_f1(parse(row["output"]), parse(engine._text(ids))))
        except ValueError:
            found.append(0.0)
    return np.array(found)
