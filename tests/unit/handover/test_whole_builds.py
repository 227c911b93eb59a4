"""What is more than a low-rank sum is built too: all weights, DoRA, and a model of fewer layers."""

from pathlib import Path

import pytest
from tests import studies
from tests.tiny import tiny_llama

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from tuneworthy.flows import study  # noqa: E402
from tuneworthy.handover.building import BuildOptions, build  # noqa: E402
from tuneworthy.handover.system import open_artefact, student_model  # noqa: E402
from tuneworthy.models.hf import load  # noqa: E402
from tuneworthy.models.train.merge import write_merged  # noqa: E402
from tuneworthy.records.case import Message, Query  # noqa: E402
from tuneworthy.records.errors import ModelError  # noqa: E402
from tuneworthy.records.run import RunOptions  # noqa: E402

pytestmark = pytest.mark.full
ARMS = {
    "full": {"full": {"epochs": 2, "rate": 1e-3}},
    "dora": {"lora": {"epochs": 2, "rank": 4, "rate": 1e-2, "dora": True}},
    "layers": {
        "distil": {"student": "layers", "learns": "own", "epochs": 2, "rank": 4, "rate": 1e-2}
    },
}
WHOLE = {"full": "weights", "dora": "merged", "layers": "merged"}
ASKED = [Query(id=f"q{n}", messages=(Message(role="user", content=row["input"]),))
         for n, row in enumerate(studies.rows(8, seed=5))]  # fmt: skip


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("TUNEWORTHY_CACHE", str(tmp_path_factory.mktemp("cache")))
    folder = tmp_path_factory.mktemp("whole")
    path = studies.write(
        folder, 32, model="hf:./model", arms=["majority", *ARMS.values()], seeds=1,
        precision="float32", instruction="Which kind of message is it?", present=None,
        teacher=studies.MODEL,  # that student learns the rows' own labels
        data={"file": "rows.jsonl", "folds": 2}, budget={"minutes": 60, "stages": False},
        output={"type": "label", "labels": list(studies.LABELS), "max_tokens": 8},
    )  # fmt: skip
    tiny_llama(folder / "model")
    study.run(path, RunOptions(brief=True))
    yield path
    patch.undo()


NAMES = {"full": "full(epochs=2, rate=0.001)",
         "dora": "lora(epochs=2, rank=4, rate=0.01, dora=True)",
         "layers": "distil(student=layers, learns=own, epochs=2, rank=4, rate=0.01)"}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(ARMS))
def test_the_built_model_answers_as_the_evaluated_one(task, kind):
    from transformers import AutoModelForCausalLM

    built = build(task, options=BuildOptions(arm=NAMES[kind]))
    assert not built.refused
    folder = Path(built.folder)
    asked = {one.form: one for one in built.parity}
    whole = asked[WHOLE[kind]]
    assert whole.distance.exported <= whole.distance.limit
    assert sum(one.form.startswith("gguf") for one in built.parity) == 2
    system = open_artefact(folder, task.parent)
    base = load(task.parent / "model", "hf:./model", "float32")
    prompts, limits = system.prompts(ASKED), system.limits
    bare = [reply.text for reply in base.reply(prompts, limits)]
    assert [answer.text for answer in system.answer(ASKED)] != bare
    ids = torch.tensor([[5, 9, 33, 7]])
    opened = AutoModelForCausalLM.from_pretrained(folder / WHOLE[kind])
    with torch.inference_mode():
        logits = opened(ids).logits
        ours = system.model.module
        with system.model._adapter_applied():
            assert torch.allclose(logits, ours(ids).logits, atol=1e-4)
        assert not torch.allclose(logits, base.module(ids).logits, atol=1e-3)


def test_merged_dora_is_what_peft_merges(task):
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    folder = Path(build(task, options=BuildOptions(arm=NAMES["dora"])).folder)
    base = AutoModelForCausalLM.from_pretrained(task.parent / "model", dtype=torch.float32)
    plain = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    theirs = PeftModel.from_pretrained(base, folder / "peft").merge_and_unload().state_dict()
    ours = load_file(folder / "merged" / "model.safetensors")
    moved = 0
    for name, tensor in ours.items():
        assert torch.allclose(tensor, theirs[name], rtol=0, atol=1e-6), name
        moved += not torch.equal(tensor, plain[name])
    assert moved > 7, "every adapted matrix moved"


def test_weights_of_another_base_are_refused(task, tmp_path):
    built = build(task, options=BuildOptions(arm=NAMES["full"]))
    tiny_llama(tmp_path / "model", seed=9)
    other = load(tmp_path / "model", "hf:./model", "float32")
    with pytest.raises(ModelError, match="not the model that was evaluated"):
        open_artefact(Path(built.folder), task.parent, other)


def test_a_model_of_fewer_layers_is_written_whole(task, tmp_path):
    from transformers import AutoModelForCausalLM

    base = load(task.parent / "model", "hf:./model", "float32")
    student = student_model(base, 2)
    write_merged(student, task.parent / "model", tmp_path / "out")
    opened = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    ids = torch.tensor([[5, 9, 33, 7]])
    with torch.inference_mode():
        assert torch.allclose(opened(ids).logits, student.module(ids).logits, atol=1e-5)
        assert opened.config.num_hidden_layers < base.module.config.num_hidden_layers
