"""`contains` and `exact_words`: any accepted answer, whole words, case and spacing folded."""

import pytest

from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Case, Message
from tuneworthy.records.plugins import load


def value(metric, right, said, *accepted):
    case = Case(id="c", messages=(Message(role="user", content="q"),), output=right,
                accepted=accepted)  # fmt: skip
    return load("metrics", metric).score(case, Answer(case="c", text=said), {}).value


@pytest.mark.parametrize(
    ("right", "said", "wanted"),
    [
        ("Shelf 4", "They are on  shelf 4, I think.", 1),
        ("Shelf 4", "They are on shelf 42.", 0),
        ("Shelf 4", "They are on shelf 4.5", 0),
        ("art", "a party", 0),
        ("1,000", "about 1000 of them", 1),
        ("don’t", "I don't know", 1),
        ("Hall B", "hall\nb", 1),
        ("Hall B", "", 0),
        ("C++", "written in C++", 1),
    ],
)
def test_contains_looks_for_whole_words(right, said, wanted):
    assert value("contains", right, said) == wanted


@pytest.mark.parametrize("metric", ["contains", "exact_words"])
def test_any_accepted_answer_is_right(metric):
    assert value(metric, "Shelf 4", "shelf four", "Shelf  Four") == 1
    assert value(metric, "Shelf 4", "shelf five", "Shelf  Four") == 0


@pytest.mark.parametrize(
    ("right", "said", "wanted"),
    [
        ("The Eiffel Tower", "eiffel tower.", 1),
        ("Eiffel Tower", "the Eiffel Tower in Paris", 0),
        ("2.5", "25", 0),
        ("2.5", "2.5.", 1),
        ("-3", "3", 0),
        ("1,000", "1000", 1),
        ("a", "b", 0),
        ("A", "a", 1),
        ("???", "!!!", 0),
        ("co-operate", "co operate", 1),
    ],
)
def test_exact_words_ignores_case_punctuation_and_articles(right, said, wanted):
    assert value("exact_words", right, said) == wanted
    assert value("exact_words", right, "") == 0
