"""Retrieval on real questions and on the generated ones; skipped where the set or MiniLM lacks."""

from pathlib import Path

import pytest

from tuneworthy.arms.retrieval.chunks import encoder_here
from tuneworthy.arms.retrieval.gold import infer_passage, quality
from tuneworthy.arms.retrieval.index import index
from tuneworthy.measure.further.freshness_rate import change_facts, stated_fact
from tuneworthy.rows.docs import read_docs
from tuneworthy.rows.rows import read_rows, to_case

ROOT = Path(__file__).parents[3]
REAL = ROOT.parent / "shared" / "data" / "xquad_docs"
MADE = ROOT / "examples" / "policy_faq"


def opened(folder):
    docs = read_docs(folder / "docs.jsonl", "docs.jsonl")
    files = [folder / f"{name}.jsonl" for name in ("train", "test")]
    return docs, [to_case(raw) for file in files for raw in read_rows(file, file.name)]


@pytest.mark.skipif(not REAL.is_dir(), reason="the real set is not here")
def test_the_own_passage_of_a_real_question_ranks_first():
    docs, rows = opened(REAL)
    told_of = quality(index(docs), rows)
    assert told_of.n == 871
    assert told_of.recall[1].mean >= 0.95
    assert told_of.recall[5].mean >= 0.99


@pytest.mark.skipif(not REAL.is_dir(), reason="the real set is not here")
def test_inferred_passages_are_the_right_ones():
    docs, rows = opened(REAL)
    texts = {doc.id: doc.text for doc in docs}
    found = index(docs)
    right = [infer_passage(found, case) == texts[case.meta["doc_id"]] for case in rows]
    assert sum(right) >= 0.99 * len(rows)


def test_questions_in_other_words_are_harder_and_dates_tell_versions_apart():
    docs, rows = opened(MADE)
    dated = quality(index(docs), rows)
    assert 0.5 < dated.recall[1].mean < 0.75, "questions avoid the documents' words on purpose"
    blind = [case.model_copy(update={"time": None}) for case in rows]
    assert quality(index(docs), blind).recall[10].mean < dated.recall[10].mean - 0.1
    after = change_facts(docs, rows, 0)
    assert len(after.facts) > 350
    texts = {doc.id: doc.text for doc in after.docs}
    names = {case.id: case.meta["doc_id"] for case in rows}
    assert all(stated_fact(texts[names[fact.case]], fact) == "new" for fact in after.facts)


@pytest.mark.full
@pytest.mark.parametrize(
    ("folder", "least"),
    [
        pytest.param(REAL, 0.955, marks=pytest.mark.long, id="real"),
        pytest.param(MADE, 0.75, id="made"),
    ],
)
def test_vectors_find_what_words_miss(folder, least):
    encoder, why = encoder_here()
    if why or not folder.is_dir():
        pytest.skip(why or "the real set is not here")
    docs, rows = opened(folder)
    words, both = (quality(index(docs, encoder=one), rows) for one in (None, encoder))
    assert both.recall[1].mean >= least
    assert both.mrr.mean > words.mrr.mean
