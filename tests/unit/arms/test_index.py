"""The index finds what it should, as of the time asked, and is the same however it came about."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from retrieval_kit import Hashed, Noise, case, cases, docs

from tuneworthy.arms.retrieval.chunks import ChunkOptions, vectors
from tuneworthy.arms.retrieval.gold import quality
from tuneworthy.arms.retrieval.index import _best_positions, index, similar_length
from tuneworthy.rows.docs import Doc


def asked(found, question, time=None, k=5):
    return [chunk.doc for chunk in found.search([(question, time)], k)[0]]


def test_the_right_passage_is_found_and_chance_is_near_k_of_n():
    """Negative control: vectors without meaning, alone, find k of N passages by luck."""
    n = 200
    told = quality(index(docs(n)), cases(n), ks=(1, 5))
    assert told.n == n
    assert told.inferred == 0
    assert told.recall[1].mean > 0.9
    noise = index(docs(n), encoder=Noise())
    noise._bm25 = None
    luck = quality(noise, cases(n), ks=(1, 20, 100)).recall
    assert luck[1].mean < 0.05
    assert luck[20].low < 20 / n < luck[20].high
    assert luck[100].low < 100 / n < luck[100].high


def test_vectors_take_part_and_are_read_in_one_batch():
    both = index(docs(50), encoder=(encoder := Hashed()))
    assert both.dense
    assert not index(docs(50)).dense
    encoder.read.clear()
    told = quality(both, cases(50))
    assert len(encoder.read) == 50
    assert told.dense
    assert told.recall[1].mean > 0.9


def test_quality_says_none_where_no_passage_is_known():
    told = quality(index(docs(5)), [case("x", "what?", "that")])
    assert (told.n, told.recall, told.mrr) == (0, None, None)


def test_a_passage_known_as_text_counts_as_the_chunk_that_holds_it():
    text = "At Alderwick, parental leave is 0 units."
    one = case("x", cases(1)[0].input, "0 units", context=text, context_inferred=True)
    told = quality(index(docs(40)), [one])
    assert (told.n, told.inferred, told.recall[1].mean) == (1, 1, 1.0)


LIMIT = "The limit in Alderwick is {} euros."
DATED = (
    Doc(id="old", text=LIMIT.format(5), since="2023-01-01", until="2024-07-01"),
    Doc(id="new", text=LIMIT.format(9), since="2024-07-01"),
    Doc(id="ever", text="Alderwick has a limit for everything."),
)


@pytest.mark.parametrize(
    ("time", "seen"),
    [
        ("2024-06-30", {"old", "ever"}),
        ("2024-07-01", {"new", "ever"}),
        ("2022-12-31", {"ever"}),
        (None, {"new", "ever"}),
        ("2024-07-01T02:00:00+02:00", {"new", "ever"}),
        ("2024-07-01T01:59:00+02:00", {"old", "ever"}),
    ],
)
@pytest.mark.parametrize("encoder", [None, Hashed()])
def test_a_question_sees_the_documents_in_force_when_it_was_asked(time, seen, encoder):
    assert set(asked(index(DATED, encoder=encoder), "limit in Alderwick", time)) == seen


def test_undated_questions_see_the_last_version_without_a_clock():
    undated = (Doc(id="gone", text="limit", until="2020-01-01"), Doc(id="here", text="limit"))
    assert asked(index(undated), "limit") == ["here"]
    ends_later = (*DATED, Doc(id="soon", text="limit", until="2099-01-01"))
    assert "soon" in asked(index(ends_later), "limit")
    assert set(asked(index(docs(3)), "units", k=9)) == {"d000", "d001", "d002"}


def test_an_updated_index_equals_one_built_anew_and_encodes_what_changed_alone(tmp_path):
    first, second = (
        docs(30),
        (*docs(40)[5:29], docs(30)[29].model_copy(update={"text": "Changed."})),
    )
    index(first, encoder=Hashed(), folder=tmp_path)
    updated = index(second, encoder=(encoder := Hashed()), folder=tmp_path)
    assert encoder.read == ["Brennwick: rules. Changed."]
    anew = index(second, encoder=Hashed())
    assert updated.chunks == anew.chunks
    assert np.array_equal(updated._rows, anew._rows)
    questions = [(c.input, None) for c in cases(40)]
    assert updated.ranked(questions) == anew.ranked(questions)
    other = index(second, encoder=Hashed("2"), folder=tmp_path).encoder
    assert len(other.read) == len(second), "another encoder's vectors are not used"


def test_a_damaged_file_of_vectors_is_made_anew(tmp_path):
    index(docs(5), encoder=Hashed(), folder=tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:50])
    again = index(docs(5), encoder=(encoder := Hashed()), folder=tmp_path)
    assert len(encoder.read) == 5
    assert again.dense
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    assert vectors(again.chunks, ChunkOptions(), Hashed(), blocked).shape == (5, 64)


def test_the_order_of_documents_changes_nothing():
    questions = [(c.input, None) for c in cases(20)]
    for encoder in (None, Hashed()):
        one, two = (index(d, encoder=encoder) for d in (docs(20), docs(20)[::-1]))
        assert one.search(questions, 5) == two.search(questions, 5)


def test_a_question_without_a_known_word_finds_nothing_by_words_alone():
    assert asked(index(docs(5)), "zzz qqq") == []
    assert asked(index(docs(5)), "…") == []
    assert len(asked(index(docs(5), encoder=Hashed()), "zzz", k=3)) == 3
    assert asked(index((Doc(id="a", text="…!"),)), "a") == []
    with pytest.raises(ValueError, match="no text"):
        index((Doc(id="a", text="  "),))


def test_a_stand_in_is_as_long_and_of_another_document():
    found = index(docs(60))
    chunk = found.chunks[7]
    drawn = [found.placebo_chunk(chunk, f"{n}") for n in range(50)]
    assert all(one.doc != chunk.doc for one in drawn)
    assert max(abs(len(one.text) - len(chunk.text)) for one in drawn) <= 3
    assert len({one.doc for one in drawn}) > 5
    assert found.placebo_chunk(chunk, "3") == drawn[3]
    assert index(docs(1)).placebo_chunk(index(docs(1)).chunks[0], "") is None
    assert similar_length(["abc", "b"], "b", "") is None, "a text that holds it is no other text"


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.1, 0.1000001, 0.5, 0.9]), st.booleans()), max_size=40
    ),
    st.integers(1, 45),
)
def test_the_best_few_are_the_head_of_the_whole_order(rows, most):
    scores = np.array([score for score, _ in rows])
    allowed = np.array([ok for _, ok in rows], bool)
    whole = _best_positions(scores, allowed, above=0.0)
    assert _best_positions(scores, allowed, above=0.0, most=most) == whole[:most]
    assert whole == sorted(
        (at for at, (score, ok) in enumerate(rows) if ok and score > 0),
        key=lambda at: (-round(scores[at], 6), at),
    )
