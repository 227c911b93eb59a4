"""rag_lora trains on what retrieval finds and is asked the same way; a tiny engine from disk."""

import pytest

from tuneworthy.arms import _context, lora, rag_lora
from tuneworthy.records.arm import Setup, Sizes
from tuneworthy.records.case import Case, Message
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.task import Data, Output, Task
from tuneworthy.rows.docs import Doc

PLACES = [f"{a}{b}" for a in ("Ald", "Bren", "Cal", "Dun") for b in ("wick", "hof", "marsh")]
DOCS = tuple(
    Doc(id=f"d{at}", title=place, text=f"{place}: {at} guests.") for at, place in enumerate(PLACES)
)


def cases(numbers):
    return [
        Case(
            id=f"c{at}",
            messages=(Message(role="user", content=f"How many guests in {PLACES[at]}?"),),
            output=f"{at} guests",
        )
        for at in numbers
    ]


def setup(model, folder, **changes):
    task = Task(
        instruction="Answer.",
        data=Data(file="rows.jsonl", docs="docs.jsonl"),
        output=Output(type="text", max_tokens=6),
    )
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"train": cases(range(8)), "dev": [], "score": None, "docs": DOCS, **changes}
    return Setup(task=task, models={"tune": model}, folder=folder, **parts)


@pytest.fixture(autouse=True)
def _no_encoder(monkeypatch):
    monkeypatch.setattr(_context, "encoder_here", lambda: (None, "there is no encoder"))


@pytest.mark.full
def test_rows_are_trained_with_their_passages_and_asked_with_them(tiny, tmp_path, monkeypatch):
    from tuneworthy.models.hf import load

    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path / "cache"))
    tiny.model("llama", 1, eos_token_id=0).save_pretrained(tmp_path / "model")
    tiny.tokenizer().save_pretrained(tmp_path / "model")
    engine = load(tmp_path / "model", "hf:./model", "float32")
    taught = []
    real = rag_lora.train_model

    def seen(setup, options, seed, ask):
        taught.extend(ask.prompts([case.query() for case in setup.train]))
        return real(setup, options, seed, ask)

    monkeypatch.setattr(rag_lora, "train_model", seen)
    small = {"epochs": 1, "rank": 2, "k": 1, "tokens": 200}
    fitted = rag_lora.fit(setup(engine, tmp_path / "a"), rag_lora.Options(**small), 0)
    assert fitted.notes[0].startswith("passages are found by BM25 alone")
    assert fitted.learned
    shown = [prompt[-1].content for prompt in taught]
    assert [text.partition("\n\n")[0] for text in shown] == [
        f"Passage ({PLACES[at]}): {PLACES[at]}: {at} guests." for at in range(8)
    ]
    answers = fitted.answer([case.query() for case in cases([9, 11])])
    assert [answer.passages for answer in answers] == [("d9",), ("d11",)]
    assert answers[0].prompt[-1].content.startswith("Passage (Dunwick): Dunwick: 9 guests.")
    placebo = rag_lora.placebo(rag_lora.Options(**small))
    other = rag_lora.fit(setup(engine, tmp_path / "b"), placebo, 0)
    assert [prompt[-1].content for prompt in taught[8:]] == shown, "the placebo keeps the passages"
    weights = [(f.artefact / "adapter_model.safetensors").read_bytes() for f in (fitted, other)]
    assert weights[0] != weights[1]


def test_without_documents_or_a_model_to_train_it_does_not_apply(tmp_path):
    class Remote:
        spec = "openai:large"

    with pytest.raises(DoesNotApply, match="no documents"):
        rag_lora.fit(setup(Remote(), tmp_path, docs=()), rag_lora.Options(), 0)
    with pytest.raises(DoesNotApply, match="cannot be trained"):
        rag_lora.fit(setup(Remote(), tmp_path), rag_lora.Options(), 0)


def test_the_plan_counts_passages_as_often_as_rows_are_read():
    sizes = Sizes(cases=10, train=20, dev=5, shared=50, own=99, shot=40, answer=5, cap=8, labels=0,
                  passage=100)  # fmt: skip
    alone = lora.estimate(sizes, lora.Options(epochs=2))
    read = rag_lora.estimate(sizes, rag_lora.Options(epochs=2, k=2))
    assert read.trained - alone.trained == 2 * 20 * 200
    assert read.read - alone.read == (10 + 2 * 5) * 200
    assert read.requests == alone.requests == 10


def test_auto_asks_it_after_the_passages_alone():
    from tuneworthy.records.specs import specs

    task = Task(data=Data(file="rows.jsonl", docs="docs.jsonl"))
    order = [spec.arm for spec in specs(task)]
    assert order.index("few_shot") < order.index("oracle") < order.index("rag"), "on its prompt"
    assert order.index("rag") < order.index("lora") < order.index("rag_lora")
