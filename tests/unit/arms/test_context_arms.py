"""rag and oracle with a scripted model that can only answer a number from its prompt."""

import re

import pytest

from tuneworthy.arms import _context, oracle, rag
from tuneworthy.models.scripted import Scripted, last_user
from tuneworthy.records.arm import Recipe, Setup, Sizes
from tuneworthy.records.case import Case, Message
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.task import Data, Output, Task
from tuneworthy.rows.docs import Doc

PLACES = ("Alderwick", "Brennhof", "Calverra", "Dunmarsh", "Estrella", "Fjordheim", "Gallowmere",
          "Hartenau", "Ilmenau", "Jorvik", "Kestrel", "Lindqvist", "Marrowby", "Nordlund",
          "Ostrava", "Pellworth")  # fmt: skip
FIGURES = {place: 11 + 7 * at for at, place in enumerate(PLACES)}
OLD = 5


def text(place, figure):
    return f"The works council of {place} agreed that the guest limit shall be {figure} guests."


DOCS = (
    *(Doc(id=f"d-{place}", title=f"{place} rules", text=text(place, n), since="2024-07-01")
      for place, n in FIGURES.items()),
    Doc(id="d-old", title="Alderwick rules", text=text("Alderwick", OLD), until="2024-07-01"),
)  # fmt: skip


def asked(place, **more):
    turn = Message(role="user", content=f"How many guests may I have in {place}?")
    context = text(place, FIGURES[place])
    return Case(id=place, messages=(turn,), output=f"{FIGURES[place]}", context=context, **more)


CASES = [asked(place) for place in PLACES]


def read(prompt, limits):
    """Say the figure of the sentence that names the asked place, else nothing."""
    said = last_user(prompt)
    place = re.search(r"in (\w+)\?", said).group(1)
    found = re.search(rf"of {place} [^.]*? (\d+) guests", said)
    return found.group(1) if found else "unknown"


def setup(tmp_path, **more):
    task = Task(
        data=Data(file="rows.jsonl", docs="docs.jsonl"),
        instruction="Answer with a number.",
        output=Output(type="text", max_tokens=8),
    )
    parts = {"task": task, "train": CASES[:6], "dev": [], "folder": tmp_path, "docs": DOCS,
             "models": {"base": Scripted("scripted:reader", read)}, "score": None,
             "recipe": Recipe()}  # fmt: skip
    return Setup(**{**parts, **more})


@pytest.fixture(autouse=True)
def _no_encoder(monkeypatch):
    monkeypatch.setattr(_context, "encoder_here", lambda: (None, "there is no encoder"))


def right(fitted, cases=CASES, gold=False):
    answers = fitted.answer([case.query(gold_passage=gold) for case in cases])
    assert [a.case for a in answers] == [c.id for c in cases]
    return sum(a.text == c.output for a, c in zip(answers, cases, strict=True)), answers


def test_rag_finds_what_the_model_cannot_know_and_random_passages_do_not(tmp_path):
    found, answers = right(rag.fit(setup(tmp_path), rag.Options(k=2), 0))
    assert found == len(CASES)
    assert all(a.passages[0] == f"d-{a.case}" and len(a.passages) == 2 for a in answers)
    assert "Passage 1 (Alderwick rules): The works council" in answers[0].prompt[-1].content
    random, placebo = right(rag.fit(setup(tmp_path), rag.placebo(rag.Options(k=2)), 0))
    assert random <= 2, "the control: two of sixteen passages by chance"
    assert all(len(a.passages) == 2 for a in placebo)
    lengths = [[len(a.prompt[-1].content) for a in each] for each in (answers, placebo)]
    assert max(abs(a - b) for a, b in zip(*lengths, strict=True)) < 20


def test_rag_reads_the_documents_of_the_rows_own_time(tmp_path):
    fitted = rag.fit(setup(tmp_path), rag.Options(), 0)
    times = ("2024-06-01", "2024-08-01", None)
    cases = [asked("Alderwick", time=time) for time in times]
    _, answers = right(fitted, cases)
    assert [a.text for a in answers] == [str(OLD), "11", "11"]
    assert answers[0].passages == ("d-old",)


def test_passages_keep_to_the_budget_and_stay_whole(tmp_path):
    one = len(f"Passage 9 (Alderwick rules): {text('Alderwick', 11)}".split())
    for tokens, count in ((max(50, one), 50 // one), (50 + one, (50 + one) // one), (4000, 4)):
        _, answers = right(rag.fit(setup(tmp_path), rag.Options(k=4, tokens=tokens), 0), CASES[:3])
        assert {len(a.passages) for a in answers} == {min(count, 4)}
        assert all(
            p in a.prompt[-1].content for a in answers for p in (text(a.case, FIGURES[a.case]),)
        )
    model = Scripted("scripted:reader", read)
    bare = model.count_tokens(right(rag.fit(setup(tmp_path), rag.Options(k=4), 0))[1][0].prompt)
    model.context = bare
    fitted = rag.fit(setup(tmp_path, models={"base": model}), rag.Options(k=4), 0)
    _, (answer,) = right(fitted, CASES[:1])
    assert 1 <= len(answer.passages) < 4
    assert model.count_tokens(answer.prompt) + 8 <= bare


def test_rag_says_where_vectors_are_missing_and_needs_documents(tmp_path):
    fitted = rag.fit(setup(tmp_path), rag.Options(), 0)
    assert fitted.notes[0] == "passages are found by BM25 alone: there is no encoder"
    unknown = [case.model_copy(update={"context": None}) for case in CASES[:6]]
    lone = rag.fit(setup(tmp_path, train=unknown), rag.Options(dense=False), 0)
    assert lone.notes == ()
    assert rag.here(rag.Options()) == {"encoder": "none"}
    with pytest.raises(DoesNotApply, match="no documents"):
        rag.fit(setup(tmp_path, docs=()), rag.Options(), 0)


def test_rag_says_how_often_it_finds_the_passage_of_training_rows(tmp_path):
    (note,) = rag.fit(setup(tmp_path), rag.Options(k=2, dense=False), 0).notes
    assert note == (
        "the right passage ranks first for 100% of 6 training rows, among the first 2 for 100%"
    )
    lost = [case.model_copy(update={"messages": CASES[9].messages}) for case in CASES[:5]]
    (note,) = rag.fit(setup(tmp_path, train=lost), rag.Options(k=1, dense=False), 0).notes
    assert note == "the right passage ranks first for 0% of 5 training rows", "the control"
    assert rag.fit(setup(tmp_path), rag.Options(dense=False, random=True), 0).notes == ()


def test_folds_share_an_index_and_other_documents_get_their_own(tmp_path):
    def found(**more):
        return _context.document_index(setup(tmp_path, **more), _context.ChunkOptions(), False)[0]

    assert found() is found()
    assert found(docs=DOCS[:3]) is not found()
    assert len(found(docs=DOCS[:3]).chunks) == 3


def test_an_encoder_is_used_and_is_part_of_the_key(tmp_path, monkeypatch):
    from tests.unit.arms.retrieval_kit import Hashed

    monkeypatch.setattr(_context, "encoder_here", lambda: (Hashed(), ""))
    fitted = rag.fit(setup(tmp_path, common=tmp_path), rag.Options(), 0)
    assert not any("BM25" in note for note in fitted.notes)
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]
    assert right(fitted)[0] >= 14
    assert rag.here(rag.Options()) == Hashed().fingerprint
    assert rag.here(rag.Options(dense=False)) == {"encoder": "none"}


def test_oracle_reads_the_gold_passage_and_a_wrong_one_does_not_help(tmp_path):
    assert right(oracle.fit(setup(tmp_path), oracle.Options(), 0), gold=True)[0] == len(CASES)
    placebo = oracle.fit(setup(tmp_path), oracle.placebo(oracle.Options()), 0)
    found, answers = right(placebo, gold=True)
    assert found == 0
    for answer in answers:
        passage = answer.prompt[-1].content.partition("\n\n")[0]
        assert passage.startswith("Passage: The works council")
        assert abs(len(passage) - len(f"Passage: {text(answer.case, 11)}")) <= 3
        assert text(answer.case, FIGURES[answer.case]) not in passage


def test_oracle_asks_without_a_passage_where_none_is_known(tmp_path):
    for options in (oracle.Options(), oracle.Options(wrong=True)):
        found, answers = right(oracle.fit(setup(tmp_path), options, 0))
        assert found == 0
        assert all("Passage" not in a.prompt[-1].content for a in answers)


def test_the_wrong_passage_comes_from_training_rows_where_there_are_no_documents(tmp_path):
    bare = setup(tmp_path, docs=())
    placebo = oracle.fit(bare, oracle.Options(wrong=True), 0)
    assert placebo.learned
    assert not oracle.fit(bare, oracle.Options(), 0).learned
    shown = {a.prompt[-1].content.partition("\n\n")[0] for a in right(placebo, gold=True)[1]}
    assert shown <= {f"Passage: {case.context}" for case in CASES[:6]}


def test_of_a_long_passage_the_sentences_near_the_question_are_shown(tmp_path):
    long = " ".join([*(f"Nothing is said about room {n} here." for n in range(200)),
                     text("Alderwick", 11),
                     *(f"The yard {n} is closed at night." for n in range(200))])  # fmt: skip
    case = asked("Alderwick").model_copy(update={"context": long})
    fitted = oracle.fit(setup(tmp_path), oracle.Options(tokens=150), 0)
    found, (answer,) = right(fitted, [case], gold=True)
    assert found == 1
    assert fitted.model.count_tokens(answer.prompt) < 200
    assert right(oracle.fit(setup(tmp_path), oracle.Options(tokens=50000), 0), [case], True)[0] == 1


def test_the_plan_counts_the_passages():
    sizes = Sizes(cases=10, train=20, dev=5, shared=50, own=20, shot=40, answer=5, cap=8, labels=0,
                  examples=0)  # fmt: skip
    read = sizes.model_copy(update={"passage": 100.0})
    assert rag.estimate(read, rag.Options(k=3)).read == 50 + 10 * (20 + 300)
    assert rag.estimate(read, rag.Options(k=100)).read == 50 + 10 * (20 + 1200)
    assert oracle.estimate(read, oracle.Options()).read == 50 + 10 * 120
    assert oracle.estimate(sizes, oracle.Options()).read == 50 + 10 * 20
    shown = sizes.model_copy(update={"examples": 4})
    assert oracle.estimate(shown, oracle.Options()).read == 50 + 10 * (20 + 4 * 40)
