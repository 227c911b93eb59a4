"""Chunks are whole sentences of the document, in order, with nothing lost; fusion by rank."""

import re
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tuneworthy.arms.retrieval.chunks import ChunkOptions, chunked, split_text
from tuneworthy.arms.retrieval.index import covers, fuse_rankings, terms
from tuneworthy.rows.docs import Doc

TEXT = "One stands here. Two follows it! Is three a question? “Four is said.” Five ends. "


def test_sentences_stay_whole_and_the_last_one_is_repeated():
    text = TEXT * 4
    found = split_text(text, ChunkOptions(size=100, overlap=1))
    assert len(found) > 3
    assert all(len(part) <= 100 and part in text for part in found)
    assert all(part[-1] in ".!?”" for part in found)
    for one, two in pairwise(found):
        first = re.match(r".*?[.!?]”?(?= |$)", two).group()
        assert one.endswith(first), "it starts with the last sentence of the one before"
    alone = split_text(text, ChunkOptions(size=100, overlap=0))
    assert " ".join(alone).split() == text.split(), "without overlap every word stands once"
    assert len(" ".join(found)) > len(" ".join(alone)), "the control: overlap repeats words"


def test_a_short_text_is_one_piece_and_a_long_word_is_cut():
    assert split_text("  Short. And sweet.  ") == ["Short. And sweet."]
    assert split_text("   ") == []
    assert [len(part) for part in split_text("x" * 250, ChunkOptions(size=100, overlap=0))] == [
        100,
        100,
        50,
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text("ab .!?\nXé。", max_size=40), max_size=12).map("".join),
    st.integers(0, 3),
)
@example("?" * 101, 1)
def test_no_word_is_lost_and_no_piece_is_too_long(text, overlap):
    found = split_text(text, ChunkOptions(size=100, overlap=overlap))
    assert all(0 < len(part) <= 100 and part in text for part in found)
    letters = [c for c in text if not c.isspace()]
    if overlap == 0:
        assert [c for part in found for c in part if not c.isspace()] == letters
    at = 0
    for part in found:  # a piece starts no later than where the last one ended, spaces left out
        reach = at + len(text[at:]) - len(text[at:].lstrip())
        start = text.rfind(part, 0, reach + len(part))  # of equal places the one that goes on
        assert start >= 0
        at = max(at, start + len(part))
    assert not text[at:].strip()


def test_chunks_do_not_depend_on_the_order_of_documents():
    docs = [Doc(id=f"{n}", text=f"Text number {n}.", title="T") for n in range(5)]
    assert chunked(docs) == chunked(docs[::-1])
    assert [chunk.doc for chunk in chunked(docs)] == list("01234")
    assert chunked(docs)[0].searched == "T. Text number 0."
    other = chunked([docs[0].model_copy(update={"title": "U"})])
    assert chunked(docs)[0].key != other[0].key


def test_terms_share_the_stem_of_longer_words():
    assert terms("Storing it") == ["storing", "stor~", "it"]
    assert set(terms("storage")) & set(terms("STORED")) == {"stor~"}
    assert not set(terms("stone")) & set(terms("storage"))


def test_an_answer_is_covered_by_its_words_not_by_some_of_them():
    assert covers("They met in 1991, in the old town.", "in 1991")
    assert not covers("They met in 1991.", "in 1992")
    assert covers("a b c d x", "a b c d e"), "four of five words"
    assert not covers("a b c x", "a b c d")
    assert not covers("anything", "  ")


def test_reciprocal_ranks_add_up():
    """Two lists by hand: item 7 is second in both, 1/62 twice; item 3 is first once, 1/61."""
    assert fuse_rankings([[3, 7], [5, 7]]) == [(7, 2 / 62), (3, 1 / 61), (5, 1 / 61)]
    assert fuse_rankings([[4, 2]]) == [(4, 1 / 61), (2, 1 / 62)]
    assert fuse_rankings([[1, 2], [2, 1]], k=1)[0][0] == 1, "ties go to the smaller item"
    assert fuse_rankings([]) == []
