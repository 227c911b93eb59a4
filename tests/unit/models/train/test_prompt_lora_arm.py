"""prompt_lora trains on rows as the best prompt asks them, examples and all; a tiny engine."""

import pytest

from tuneworthy.arms import lora, prompt_lora
from tuneworthy.records.arm import Recipe, Setup, Sizes
from tuneworthy.records.case import Case, Message
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.task import Data, Output, Task

LABELS = ("up", "down")
FIXED = Recipe(kind="few", k=3, shots=("c0", "c1", "c2"), specification="Up or down?")


def cases(numbers):
    return [
        Case(id=f"c{at}", messages=(Message(role="user", content=f"row {at}"),),
             output=LABELS[at % 2])
        for at in numbers
    ]  # fmt: skip


def setup(model, folder, **changes):
    task = Task(instruction="Say it.", data=Data(file="rows.jsonl"),
                output=Output(type="label", labels=LABELS, max_tokens=4))  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"train": cases(range(8)), "dev": [], "score": None, "recipe": FIXED, **changes}
    return Setup(task=task, models={"tune": model}, folder=folder, **parts)


@pytest.mark.parametrize(
    ("recipe", "k", "left"),
    [
        (FIXED, 3, FIXED),
        (FIXED, 2, FIXED.model_copy(update={"k": 2, "shots": ("c0", "c1")})),
        (FIXED, 0, FIXED.model_copy(update={"kind": "zero", "k": 0, "shots": ()})),
        (Recipe(kind="nearest", k=16), 4, Recipe(kind="nearest", k=4)),
        (Recipe(), 4, Recipe()),
    ],
)
def test_at_most_so_many_examples_of_the_best_prompt_are_kept(recipe, k, left):
    assert prompt_lora.limit_examples(recipe, k) == left


@pytest.mark.full
def test_rows_are_trained_with_the_whole_prompt_and_asked_with_it(tiny, tmp_path, monkeypatch):
    from tuneworthy.models.hf import load

    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path / "cache"))
    tiny.model("llama", 1, eos_token_id=0).save_pretrained(tmp_path / "model")
    tiny.tokenizer().save_pretrained(tmp_path / "model")
    engine = load(tmp_path / "model", "hf:./model", "float32")
    taught = []
    real = prompt_lora.train_model

    def seen(setup, options, seed, ask):
        taught.extend(ask.prompts([case.query() for case in setup.train]))
        return real(setup, options, seed, ask)

    monkeypatch.setattr(prompt_lora, "train_model", seen)
    small = {"epochs": 1, "rank": 2, "k": 2}
    fitted = prompt_lora.fit(setup(engine, tmp_path / "a"), prompt_lora.Options(**small), 0)
    assert fitted.recipe == prompt_lora.limit_examples(FIXED, 2)
    assert all(prompt[0].content == "Up or down?" for prompt in taught)
    examples = [[m.content for m in prompt[1:-1]] for prompt in taught]
    assert examples[5] == ["row 0", "up", "row 1", "down"]
    assert examples[1] == ["row 0", "up"], "a row's own answer never stands in its prompt"
    asked = fitted.answer([case.query() for case in cases([9])])[0].prompt
    assert [m.content for m in asked[1:]] == ["row 0", "up", "row 1", "down", "row 9"]
    placebo = prompt_lora.placebo(prompt_lora.Options(**small))
    other = prompt_lora.fit(setup(engine, tmp_path / "b"), placebo, 0)
    weights = [(f.artefact / "adapter_model.safetensors").read_bytes() for f in (fitted, other)]
    assert weights[0] != weights[1]
    assert taught[8:] == taught[:8], "the placebo keeps the prompt"


def test_without_a_model_to_train_or_room_for_an_answer_it_does_not_apply(tmp_path):
    class Remote:
        spec, context, module = "openai:x", 8, None

        def count_tokens(self, prompt):
            return sum(len(m.content.split()) for m in prompt)

    with pytest.raises(DoesNotApply, match="the context of openai:x is 8"):
        prompt_lora.fit(setup(Remote(), tmp_path), prompt_lora.Options(), 0)
    del Remote.module
    with pytest.raises(DoesNotApply, match="cannot be trained here"):
        prompt_lora.fit(setup(Remote(), tmp_path), prompt_lora.Options(), 0)


def test_its_examples_are_paid_for_at_every_row():
    sizes = Sizes(cases=10, train=20, dev=5, shared=50, own=99, shot=40, answer=5, cap=8, labels=6)
    plain = lora.estimate(sizes, lora.Options()).trained
    assert prompt_lora.estimate(sizes, prompt_lora.Options(k=0)).trained == plain
    assert prompt_lora.estimate(sizes, prompt_lora.Options(k=4)).trained == plain + 3 * 20 * 160
